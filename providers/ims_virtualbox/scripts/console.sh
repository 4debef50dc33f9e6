# console: FOLDER BYTES; the end of what the guest printed.
cd "$vms/$1" 2>/dev/null || exit 0
cat console.kept console.log 2>/dev/null | tail -c "$2" || :
