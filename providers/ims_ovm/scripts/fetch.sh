# fetch: BOUNDARY UUID IMAGE MOST; UUID is the Manager's. The folder's name, vm.cfg, and the image.
section "$1" folder
vm=$(grep -lE "^[[:space:]]*uuid[[:space:]]*=[[:space:]]*u?['\"]$2['\"]" "$pool"/*/vm.cfg 2>/dev/null |
    head -n 1)
[ -n "$vm" ] || refuse vm-not-found "no vm.cfg in $pool has the UUID $2"
vm=${vm%/vm.cfg}
printf '%s' "${vm##*/}"
section "$1" files
find "$vm" -mindepth 1 -maxdepth 1 -type f -printf '%f\n'
section "$1" config
head -c 1048576 "$vm/vm.cfg"
[ "$4" -gt 0 ] || exit 0
section "$1" image
lock "$vm" || refuse vm-not-found "$vm is gone"
unmount # or the image is that of a file system in use
[ -f "$vm/$3" ] || refuse no-bootparams "it has no $3"
[ "$(stat -c %s "$vm/$3")" -le "$4" ] || refuse image-too-large "its $3 is too large to be replaced"
gzip -1 -c "$vm/$3"
