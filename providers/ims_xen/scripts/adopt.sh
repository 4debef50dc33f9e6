# adopt: NAME FOLDER; the files of a VM that somebody else made come as a tar archive.
name=$1 new=$dir/making/$2
mkdir -p "$dir/making" "$dir/vms"
mkdir "$new"
trap 'status=$?; [ "$status" -eq 0 ] || rm -rf "$new"; exit "$status"' EXIT
lock "$new"
unpack "$new"
: >"$new/started"
mv -T "$new" "$dir/vms/$name" 2>/dev/null || refuse vm-exists "there is a folder '$name' already"
