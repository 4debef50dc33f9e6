# stop: UUID, SECONDS or "force"
need_vm "$1"
find_domain "$1"
if [ "$2" = force ]; then
    [ -z "$domid" ] || {
        keep_receipt
        destroy
    }
    rm -f "$vm/starting" "$vm/memory" "$vm/memory.used"
    exit
fi
is_on || {
    [ -z "$domid" ] || destroy
    [ ! -e "$vm/memory" ] || refuse vm-suspended "it is suspended to disk"
    exit 0
}
keep_receipt
xl shutdown "$domid" >&2 || :
exec 9>&- # this may take long, and a forced stop may come meanwhile
timeout "$2" xl shutdown -w "$domid" >/dev/null 2>&1 || :
find_domain "$1"
! is_on || refuse deadline "it is still running"
[ -z "$domid" ] || destroy
