# adopt: NAME FOLDER; the files of a VM that somebody else made come as a tar archive.
name=$1 new=$dir/making/$2
mkdir -p "$dir/making" "$dir/vms"
mkdir -p "$new"
trap 'status=$?; [ "$status" -eq 0 ] || rm -rf "$new"; exit "$status"' EXIT
lock "$new"
find "$new" -mindepth 1 -delete # of an earlier try
unpack "$new"
: >"$new/started"
mv -T "$new" "$dir/vms/$name" 2>/dev/null || refuse vm-exists "there is a folder '$name' already"
