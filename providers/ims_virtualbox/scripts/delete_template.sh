# delete_template: NAME; VirtualBox refuses while a disk depends on its disk. It would not open one
# that is damaged, on which nothing can depend.
hold_template "$1"
disk=$dir/templates/$1/disk.vdi
known=$(vbox list hdds)
case $known in *" $disk"*) vbox closemedium disk "$disk" >/dev/null ;; esac
rm -f "$dir/templates/$1/manifest.json"
rm -rf "${dir:?}/templates/$1"
