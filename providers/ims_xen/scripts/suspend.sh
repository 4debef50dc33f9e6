# suspend: UUID
need_vm "$1"
find_domain "$1"
[ -n "$domid" ] || [ ! -e "$vm/memory" ] || exit 0
if [ -e "$vm/starting" ] || ! is_on; then
    refuse vm-not-running "it is not running"
fi
keep_receipt
rm -f "$vm/memory.used"
xl save "$domid" "$vm/memory" >"$vm/.xl" 2>&1 9>&- || {
    cat "$vm/.xl" >&2
    rm -f "$vm/memory" "$vm/.xl"
    exit 66
}
rm -f "$vm/.xl"
