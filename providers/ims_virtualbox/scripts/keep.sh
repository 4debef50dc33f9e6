# keep: FOLDER start|resume; before its power comes, with which VirtualBox empties these files.
need_folder "$1"
cd "$vms/$1"
[ "$2" = resume ] || rm -f console.kept console.log
for name in console receipt; do
    [ -s "$name.log" ] || continue
    { cat "$name.kept" 2>/dev/null || :; cat "$name.log"; } | tail -c 262144 >".$name"
    mv -f ".$name" "$name.kept"
    : >"$name.log"
done
