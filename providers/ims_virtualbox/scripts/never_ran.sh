# never_ran: FOLDER; as it is now, the machine has not run yet.
need_folder "$1"
for log in "$vms/$1"/*/Logs/VBox.log; do
    [ ! -e "$log" ] || mv -f "$log" "$log.before-restore"
done
