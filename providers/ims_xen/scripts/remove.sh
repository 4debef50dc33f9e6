# Of a template, too, what says what it is goes last, so that this can be done again.
remove_template() { # FOLDER
    find "$1" -mindepth 1 ! -name manifest.json -delete
    rm -f "$1/manifest.json"
    rmdir "$1"
}

# A VM goes file by file, its mark last: half a VM can still be found and removed.
remove_vm() { # $vm, UUID
    find_domain "$1"
    disks=
    if grep -qF '"operation": ""' "$vm/mark.json"; then
        [ ! -e "$vm/memory" ] || [ -n "$domid" ] ||
            refuse vm-suspended "it is suspended to disk, and that memory is its owner's"
        disks='root.*' # adopted: its disks are not ours, wherever they lie
    else
        rm -f "/var/log/xen/console/guest-${vm##*/}.log"
    fi
    [ -z "$domid" ] || destroy
    find "$vm" -mindepth 1 -depth ! -path "$vm/mark.json" ! -name "$disks" -delete
    rm -f "$vm/mark.json"
    rmdir "$vm" 2>/dev/null || [ -n "$disks" ]
}
