# console: UUID BYTES; the end of what the guest printed, as xenconsoled keeps it.
vm=$(folder_of "$1")
[ -n "$vm" ] || refuse vm-not-found "there is no VM $1"
tail -c "$2" "/var/log/xen/console/guest-${vm##*/}.log" 2>/dev/null || :
