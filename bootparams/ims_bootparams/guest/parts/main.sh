# --- The whole ---------------------------------------------------------------------------------
usage() {
    cat <<'END'
Usage: ims-context [watch] [--root DIRECTORY [--act]] [--medium DIRECTORY] [--wait SECONDS]

Tells this machine who it is, from the medium labelled IMS, xenstore or guest properties, and
answers with a receipt. With `watch` it stays, and does so again whenever it is told anew.

  --root DIRECTORY    apply to this directory, and only note down what would change the machine,
                      scripts among that; the receipt is kept there, and not sent
  --act               run the scripts all the same, on this machine, and send the receipt
  --medium DIRECTORY  read the medium's files from there
  --wait SECONDS      how long the medium may take to appear; 10 if not given
END
}

# Gives $carrier: medium (then with $device), xenstore or guest-properties.
find_carrier() {
    carrier=medium device='' kept=''
    if [ -n "$given" ]; then # an empty directory is a drive without a medium
        [ ! -d "$given" ] || [ -n "$(ls -A "$given")" ]
    else
        find_device IMS || find_values || find_kept
    fi
}

await_carrier() {
    until find_carrier; do
        [ "$patience" -gt 0 ] || return
        patience=$((patience - 1))
        sleep 1
    done
}

read_carrier() {
    case $carrier in
    medium)
        if [ -n "$given" ]; then
            copy_medium "$given"
        else # the first read after a change of medium may fail; that is how a drive tells of it
            read_device || read_device
        fi
        ;;
    *) read_values || read_values ;; # it may be just being written
    esac
}

apply_all() {
    recall
    item hostname apply_hostname
    apply_network
    each "$IMS_USERS" once users apply_user
    once ssh_keys apply_ssh_keys # after the users: the default user may be one of them
    each "${IMS_HOST_KEYS:-0}" once host_keys apply_host_key
    item user_data apply_user_data
    each "$IMS_FILES" once files apply_file
    each "$IMS_SCRIPTS" script_item scripts run_script
}

send_receipt() {
    [ -z "$confined" ] || return 0
    send_to_port || say "nobody took the receipt"
    for carrier in xenstore guest-properties; do
        ! values_are_there || send_values || say "the receipt could not be written: $carrier"
    done
}

# Noted only now: whatever ends a run before its receipt, the watcher begins it again.
done_with() { # SEEN
    printf '%s\n' "$1" >"$run/seen"
    rm -rf "$copy"
    release_lock
}

# What find_carrier found is read, applied and answered for.
apply() {
    take_lock 300 || { say "another run takes too long" && return 1; }
    trap 'rm -rf "$copy"' EXIT
    printf '%s %s\n' "$carrier" "$device" >"$run/carrier"
    seen=$(seen_now) # before it is read, so that what changes meanwhile is noticed
    read_carrier || { say "the context cannot be read" && done_with "$seen" && return 1; }
    digest=$(digest_of "$copy")
    : >"$run/results"
    item bootparams check_conf "$copy/bootparams.conf"
    if grep -q '^item bootparams ok' "$run/results"; then
        . "$copy/bootparams.conf"
        cp "$copy/bootparams.conf" "$run/bootparams.conf"
        keep_values || say "it will not be known after a reboot without keys"
        apply_all
        system sync # who is told that the guest is ready may take its power away
    fi
    write_receipt
    send_receipt
    done_with "$seen"
    ! grep -q '^item [^ ]* failed' "$run/results" || return 1
    say "applied $(grep -c '^item ' "$run/results") items"
}

main() {
    command='' directory='' act='' given='' patience=10
    while [ "$#" -gt 0 ]; do
        case $1 in
        watch) command=watch ;;
        --root) directory=${2:?it needs a directory} && shift ;;
        --act) act=yes ;;
        --medium) given=${2:?it needs a directory} && shift ;;
        --wait) patience=${2:?it needs a number of seconds} && shift ;;
        -h | --help) usage && exit ;;
        *) usage >&2 && exit 2 ;;
        esac
        shift
    done
    set_root "$directory"
    confined=$root
    [ -z "$act" ] || confined=
    if [ "$command" = watch ]; then
        watch
    elif await_carrier; then
        booting=yes
        apply
    else
        say "no context was found; nothing to do"
    fi
}

main "$@"
