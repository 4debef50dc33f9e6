# create: NAME FOLDER TEMPLATE FORMAT SIZE; the VM's small files come as a tar archive.
name=$1 new=$dir/making/$2 template=$dir/templates/$3 format=$4 size=$5
mkdir -p "$dir/making" "$dir/vms"
mkdir "$new"
trap 'status=$?; [ "$status" -eq 0 ] || rm -rf "$new"; exit "$status"' EXIT
lock "$new"
unpack "$new"
[ -e "$template/manifest.json" ] || refuse template-not-found "there is no template $3"
# The template is not removed before this ends: until then no VM names it.
exec 8<"$template"
flock -s -w 20 8 || refuse busy "template $3 is in use by another request"
[ -e "$template/manifest.json" ] || refuse template-not-found "there is no template $3"
# An empty folder is what a delete leaves that was cut short at its very end.
[ ! -e "$dir/vms/$name" ] || rmdir "$dir/vms/$name" 2>/dev/null ||
    refuse vm-exists "there is a VM '$name' already"
! xl domid "$name" >/dev/null 2>&1 || refuse vm-exists "there is a domain '$name' already"
case $format in
raw)
    cp --reflink=auto --sparse=always "$template/disk" "$new/root.raw"
    truncate -s "$size" "$new/root.raw"
    ;;
qcow2)
    qemu-img create -q -f qcow2 -F qcow2 -b "$template/disk" "$new/root.qcow2" "$size"
    ;;
esac
# A folder takes no other's place unless that one is empty.
mv -T "$new" "$dir/vms/$name" 2>/dev/null || refuse vm-exists "there is a VM '$name' already"
