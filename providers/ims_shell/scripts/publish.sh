# publish: FOLDER NAME; the manifest comes as a tar archive. Then the template exists.
new=$making/$1
lock "$new" || refuse cut-short "the image is gone"
unpack "$new"
mkdir -p "$dir/templates"
mv -T "$new" "$dir/templates/$2" 2>/dev/null || refuse template-exists "there is one of that name"
