# suspend: UUID
need_vm "$1"
find_domain "$1"
[ -n "$domid" ] || [ ! -e "$vm/memory" ] || exit 0
! unfinished || refuse vm-not-running "it is not running"
is_on || refuse vm-not-running "it is not running"
keep_receipt
rm -f "$vm/memory.used" "$vm/starting"
# It leaves no process behind, so it may hold the lock for as long as it works.
xl save "$domid" "$vm/memory" >"$vm/.xl" 2>&1 || {
    cat "$vm/.xl" >&2
    rm -f "$vm/memory" "$vm/.xl"
    exit 66
}
rm -f "$vm/.xl"
