# survey: BOUNDARY; what there is before a VM is made: names, bridges, and who has which address.
section "$1" domains
list_domains
printf '%s\n' "$domains"
section "$1" names
[ ! -d "$dir/vms" ] || find "$dir/vms" -mindepth 1 -maxdepth 1 ! -empty -printf '%f\n' 2>/dev/null || :
networks "$1"
section "$1" host
xl info || :
section "$1" archive
if cd "$dir/vms" 2>/dev/null; then
    find . -mindepth 2 -maxdepth 2 -name cards.json -print0 2>/dev/null |
        tar --null -cf - -T - 2>/dev/null || :
fi
