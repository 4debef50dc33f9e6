# finish: NAME OPERATION; its vm.cfg and its manifest come as a tar archive. Then it exists.
template=$seeds/$1
lock "$template" || refuse cut-short "the template is gone"
who=$(cat "$template/ims/operation" 2>/dev/null || readlink "$ours/fetching/$1" || :)
[ "$who" = "$2" ] || refuse template-exists "it is somebody else's by now"
mkdir -p "$template/ims"
echo "$2" >"$template/ims/.operation"
mv -f "$template/ims/.operation" "$template/ims/operation"
rm -rf "$template/ims/.new"
mkdir "$template/ims/.new"
unpack "$template/ims/.new"
mv -f "$template/ims/.new/vm.cfg" "$template/"
mv -f "$template/ims/.new/manifest.json" "$template/ims/"
rmdir "$template/ims/.new"
rm -f "$ours/fetching/$1" "$ours/importing/$1"
