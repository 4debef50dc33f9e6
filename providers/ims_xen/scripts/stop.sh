# stop: UUID, SECONDS or "force"
need_vm "$1"
find_domain "$1"
if [ "$2" = force ]; then
    [ -z "$domid" ] || {
        keep_receipt
        destroy
    }
    rm -f "$vm/starting" "$vm/memory" "$vm/memory.used" "$vm/memory.new"
    exit
fi
is_on || {
    [ -z "$domid" ] || destroy
    [ ! -e "$vm/memory" ] || refuse vm-suspended "it is suspended to disk"
    exit 0
}
forget_memory
keep_receipt
# -F presses the power button of a guest that Xen cannot speak to.
if ! told=$(xl shutdown -F "$domid" 2>&1); then
    find_domain "$1"
    ! is_on || {
        printf '%s\n' "$told" >&2
        exit 66
    }
fi
exec 9>&- # this may take long, and a forced stop may come meanwhile
timeout "$2" xl shutdown -w -F "$domid" >/dev/null 2>&1 || :
lock "$vm" || exit 0 # it was deleted meanwhile
find_domain "$1"
! is_on || refuse deadline "it is still running"
[ -z "$domid" ] || destroy
