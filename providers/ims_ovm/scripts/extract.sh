# extract: MAKING NAME DIGEST MEMBER...; unpacks the archive that was brought, of which IMS knows
# every byte, to be the template's folder. Its vm.cfg comes as a tar archive.
new=$making/$1 name=$2 digest=$3
shift 3
lock "$new" || refuse cut-short "the archive is gone"
[ "$(sha256sum <"$new/bundle" | cut -d ' ' -f 1)" = "$digest" ] ||
    refuse cut-short "the archive did not arrive whole"
rm -rf "$new/unpacked" "$new/template"
mkdir "$new/unpacked" "$new/template"
tar -xzf "$new/bundle" -C "$new/unpacked" --no-same-owner -- "$@"
odd=$(find "$new/unpacked" ! -type f ! -type d)
[ -z "$odd" ] || refuse bad-archive "the archive holds something that is no file"
find "$new/unpacked" -type f -exec mv {} "$new/template/" \;
unpack "$new/template"
mkdir "$new/template/ims"
readlink "$ours/importing/$name" >"$new/template/ims/operation"
mv -T "$new/template" "$seeds/$name" 2>/dev/null ||
    refuse template-exists "there is a folder of that name in $seeds"
rm -rf "$new"
