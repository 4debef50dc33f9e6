# deleting: UUID IMAGE-UUID; from now on the VM is known although its folder may go.
find_vm "$1"
[ -n "$vm" ] || exit 0 # an earlier try came further
refuse_running "$2"
unmount
mkdir -p "$ours/deleting"
cp "$vm/ims/vm.json" "$ours/deleting/${vm##*/}.new"
mv -f "$ours/deleting/${vm##*/}.new" "$ours/deleting/${vm##*/}.json"
if grep -qF '"operation": ""' "$vm/ims/vm.json"; then
    # Adopted: its disks are not ours, and the Manager would delete them.
    kept=$ours/kept/${vm##*/}
    mkdir -p "$kept"
    find "$vm" -mindepth 1 -maxdepth 1 -type f -exec mv -f {} "$kept/" \;
fi
