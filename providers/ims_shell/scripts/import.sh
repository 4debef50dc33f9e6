# import: FOLDER FILE SIZE; the file comes on standard input.
new=$making/$1
mkdir -p "$new"
trap 'status=$?; [ "$status" -eq 0 ] || rm -rf "$new"; exit "$status"' EXIT
lock "$new"
cp --sparse=always /dev/stdin "$new/$2"
[ "$(stat -c %s "$new/$2")" = "$3" ] || refuse cut-short "the image did not arrive whole"
