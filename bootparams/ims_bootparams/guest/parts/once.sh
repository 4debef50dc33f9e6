# --- What was done before ----------------------------------------------------------------------
# Like item, but not if the same was done before, nor if it failed before for this digest.
once() { # NAME COMMAND...
    before=$(grep "^$1 " "$run/before") # NAME FINGERPRINT [RESULT]
    mark=${before#* }
    if [ "$mark" != "${mark%% *}" ]; then
        printf 'item %s %s\n' "$1" "${mark#* }" >>"$run/results"
    else
        item "$@"
        system sync # before the record: after a power cut it must not tell of what was lost
        record "$result"
    fi
}

record() { printf '%s %s %s\n' "$mark" "$digest" "$1" >>"$state/applied"; } # RESULT

# The first part of a script's name tells when it runs: `reset/` at each boot, `config/` once for
# each context, any other once for each content.
script_item() { # NAME COMMAND INDEX
    get "SCRIPT_$3_NAME"
    case $value in
    reset/*)
        mark=reset # so what run_script records of it counts for nothing
        [ -z "${booting-}" ] || item "$@"
        ;;
    *) once "$@" ;;
    esac
}

each() { # COUNT item|once|fingerprint NAME COMMAND|KEYS
    index=0
    while [ "$index" -lt "$1" ]; do
        "$2" "$3.$index" "$4" "$index"
        index=$((index + 1))
    done
}

# An item is known by its kind, its values and the bytes of its source; neither its place nor the
# rest of the context matters. In KEYS, n stands for the index.
fingerprint() { # NAME KEYS [INDEX]
    printf '%s ' "$1"
    {
        printf '%s\000' "${1%.*}"
        case $1 in
        scripts.*)
            get "SCRIPT_$3_NAME"
            case $value in config/*) echo "$digest" ;; esac # another context is another item
            ;;
        esac
        for key in $2; do
            [ -z "$3" ] || key=${key%n*}$3${key#*n}
            get "$key"
            case $key in
            *_SOURCE) cat "$copy/$value" ;;
            *) printf '%s\000' "$value" ;;
            esac
        done
    } | sha256sum | cut -d ' ' -f 1
}

# Keeps of the records FINGERPRINT DIGEST RESULT those that count for this context: what another
# changed, or what failed for another, is to be done again. Then looks the items up in them.
recall() {
    {
        each "$IMS_USERS" fingerprint users \
            'USER_n_NAME USER_n_SSH_KEYS USER_n_PASSWORD_HASH USER_n_SUDO'
        fingerprint ssh_keys 'DEFAULT_USER SSH_KEYS'
        each "${IMS_HOST_KEYS:-0}" fingerprint host_keys \
            'HOST_KEY_n_TYPE HOST_KEY_n_PRIVATE HOST_KEY_n_PUBLIC'
        each "$IMS_FILES" fingerprint files 'FILE_n_PATH FILE_n_MODE FILE_n_OWNER FILE_n_SOURCE'
        each "$IMS_SCRIPTS" fingerprint scripts 'SCRIPT_n_NAME SCRIPT_n_SOURCE'
    } >"$run/items"
    : >>"$state/applied"
    awk -v digest="$digest" '
        FILENAME == ARGV[1] { present[$2] = 1; next }
        $1 in present && ($3 == "ok" || $3 == "failed" && $2 == digest)
    ' "$run/items" "$state/applied" >"$state/applied.new" &&
        mv -f "$state/applied.new" "$state/applied"
    awk '
        FILENAME == ARGV[1] { last[$1] = substr($0, length($1 $2) + 2); next }
        { print $0 last[$2] }
    ' "$state/applied" "$run/items" >"$run/before"
}
