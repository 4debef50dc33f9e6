# remove_template: NAME OPERATION; what is of that operation in the repository. What says that goes
# last, so that this can be done again.
template=$seeds/$1
is() { [ "$(readlink "$ours/$1")" = "$2" ]; } # LINK OPERATION
if grep -qsxF "$2" "$template/ims/operation" ||
    { [ ! -e "$template/ims/operation" ] && is "fetching/$1" "$2"; }; then
    if lock "$template"; then
        find "$template" -mindepth 1 -depth ! -path "$template/ims" ! -path "$template/ims/operation" -delete
        rm -rf "$template/ims"
    fi
fi
[ ! -d "$template" ] || ! is "removing/$1" "$2" || rmdir "$template" 2>/dev/null || :
for state in removing fetching importing; do
    ! is "$state/$1" "$2" || rm -f "$ours/$state/$1"
done
