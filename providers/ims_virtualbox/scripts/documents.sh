# documents: BOUNDARY; the settings files whose paths come, one on each line; which of these machines
# have run; which disks and media of ours are there; and what listens on this machine.
paths=$(cat)
section "$1" documents
printf '%s\n' "$paths" | tr '\n' '\0' | tar --null -P -cf - -T - 2>/dev/null || :
section "$1" ran
printf '%s\n' "$paths" | while IFS= read -r path; do
    [ ! -e "${path%/*}/Logs/VBox.log" ] || printf '%s\n' "$path"
done
section "$1" there
printf '%s\n' "$vms"/*/*.vdi "$vms"/*/*/*.vdi "$vms"/*/*/Snapshots/*.vdi \
    "$vms"/*/seed-*.iso "$dir"/templates/*/disk.vdi
section "$1" listening
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || :
