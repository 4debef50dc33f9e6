# --- What became of the context ----------------------------------------------------------------
result=/run/cloud-init/result.json
step_results=/var/lib/ims/cloud-init/results
boot_patience=900 # seconds that cloud-init may take

await_cloud_init() {
    until [ -s "$root$result" ]; do
        [ "$boot_patience" -gt 0 ] || return
        boot_patience=$((boot_patience - 1))
        sleep 1
    done
}

# Names the module, and not what it says: that may hold a secret.
check_cloud_init() {
    [ -s "$root$result" ] || fail "it has not ended in time"
    failed=$(sed -n "s/^ *\"('\\([a-zA-Z0-9_-]*\\)'.*/\\1/p" "$root$result" | head -n 1)
    [ -z "$failed" ] || fail "$failed failed; see /var/log/cloud-init.log"
    grep -q '"errors": \[\]' "$root$result" || fail "see /var/log/cloud-init.log"
}

check_hostname() { # NAME
    current=$(cat "$root/proc/sys/kernel/hostname")
    [ "$current" = "$1" ] || [ "$current" = "${1%%.*}" ] || fail "the host name is $current"
}

check_user() { # NAME
    grep -q "^$1:" "$root/etc/passwd" || fail "there is no user $1"
}

# What the first boot noted: cloud-init does these once in the VM's life.
check_step() { # NAME
    noted=$(grep "^$1 " "$root$step_results" | tail -n 1)
    [ -n "$noted" ] || fail "it was not reached"
    [ "${noted#* }" = ok ] || fail "${noted#* }"
}

# The words of ims.checks.
expect() { # hostname|interface|user|step NAME WORD...
    kind=$1
    shift
    case $kind in
    hostname) item hostname check_hostname "$2" ;;
    interface) name=$1 && shift && item "$name" await_addresses "$@" ;;
    user) item "$1" check_user "$2" ;;
    step) item "$1" check_step "$1" ;;
    esac
}

answer() {
    take_lock 60 || return
    modprobe virtio_console 2>/dev/null # usually it is there, and then this does nothing
    await_cloud_init
    find_device $labels && read_device || read_device || { say "the medium cannot be read" && return; }
    digest=$(digest_of "$copy")
    : >"$run/results"
    item cloud-init check_cloud_init
    . "$copy/$checks"
    write_receipt
    send_to_port || say "nobody took the receipt"
    rm -rf "$copy"
}

# Whoever started this waits for its output to end, so it must have none.
set_root "$root"
(trap '' HUP && answer) </dev/null >/dev/null 2>&1 &
