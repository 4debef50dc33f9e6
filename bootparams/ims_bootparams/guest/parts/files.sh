# --- Files and scripts -------------------------------------------------------------------------
apply_file() { # INDEX
    get "FILE_$1_SOURCE" && source=$value
    get "FILE_$1_MODE" && mode=$value
    get "FILE_$1_OWNER" && owner=$value
    get "FILE_$1_PATH"
    put "$value" "$mode" "$owner" <"$copy/$source"
}

apply_user_data() {
    rm -f "$run/user-data"
    [ -z "$IMS_USER_DATA_SOURCE" ] || put /run/ims/user-data 0600 <"$copy/$IMS_USER_DATA_SOURCE"
}

script_patience=1800 # seconds that a script may take

# Not from /run, which many systems mount noexec. A script knows the context by the file that
# IMS_BOOTPARAMS names, and has nothing else of ours in its environment.
run_script() { # INDEX
    get "SCRIPT_$1_SOURCE"
    script=/var/lib/ims/$value
    put "$script" 0700 <"$copy/$value"
    [ -z "$confined" ] || { system "$script" && return; }
    case $(head -c 4 "$root$script" | tr -d '\000\177') in
    '#!'* | ELF) interpreter= ;;
    *) interpreter=/bin/sh ;;
    esac
    # This line stands if the script brings the machine down: it must not do so at each boot.
    record 'failed it was started and did not end'
    system sync
    umask 022
    bound=
    ! command -v timeout >/dev/null || bound="timeout $script_patience"
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        IMS_BOOTPARAMS="$run/bootparams.conf" \
        $bound $interpreter "$root$script" >>"$log" 2>&1 ||
        fail "exit status $?; see /var/log/ims-context.log" # its own words may hold secrets
}
