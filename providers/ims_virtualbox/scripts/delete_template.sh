# delete_template: NAME; VirtualBox refuses while a disk depends on its disk.
hold_template "$1"
if [ -e "$dir/templates/$1/disk.vdi" ]; then
    vbox closemedium disk "$dir/templates/$1/disk.vdi" >/dev/null
fi
rm -f "$dir/templates/$1/manifest.json"
rm -rf "${dir:?}/templates/$1"
