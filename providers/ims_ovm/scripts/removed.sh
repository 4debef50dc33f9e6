# removed: UUID FOLDER; what the Manager left of a VM that it has no longer.
find_vm "$1"
[ -z "$vm" ] || {
    find "$vm" -mindepth 1 -depth ! -path "$vm/ims/vm.json" ! -path "$vm/ims" -delete
    rm -rf "$vm/ims"
}
rmdir "$pool/$2" 2>/dev/null || : # not one that somebody else put there
rm -f "/var/log/xen/console/guest-$2.log"
rm -f "$ours/deleting/$2.json"
