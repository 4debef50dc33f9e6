# publish: FOLDER NAME; the manifest comes as a tar archive. Then the template exists. Its disk gets
# a UUID of its own, because VirtualBox takes no two disks with the same.
new=$making/$1
lock "$new" || refuse cut-short "the image is gone"
unpack "$new"
vbox internalcommands sethduuid "$new/disk.vdi" >/dev/null
mkdir -p "$dir/templates"
[ ! -e "$dir/templates/$2" ] || refuse template-exists "there is one of that name"
mv -T "$new" "$dir/templates/$2" 2>/dev/null || refuse template-exists "there is one of that name"
