# evidence: BOUNDARY [UUID FOLDER STATE]...; what guests answered, and what is known of their
# addresses.
boundary=$1
shift
while [ $# -gt 0 ]; do
    section "$boundary" "receipt $1"
    for file in receipt.kept receipt.log; do
        [ -z "$2" ] || tail -c 262144 "$vms/$2/$file" 2>/dev/null || :
        echo
    done
    if [ "$3" = running ]; then
        section "$boundary" "properties $1"
        vbox guestproperty enumerate "$1" 2>/dev/null | head -c 1048576 || :
    fi
    shift 3
done
section "$boundary" now
date +%s
section "$boundary" leases
cat "$(settings_home)"/*-Dhcpd.leases 2>/dev/null | head -c 4194304 || :
