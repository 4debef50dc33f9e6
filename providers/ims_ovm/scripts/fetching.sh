# fetching: NAME OPERATION; from now on what the Manager makes by that name is for this operation; or
# it is not, where OPERATION is "-".
rm -f "$ours/fetching/$1"
[ "$2" != - ] || exit 0
[ ! -e "$seeds/$1" ] || refuse template-exists "there is a folder of that name in $seeds"
mkdir -p "$ours/fetching"
ln -sn "$2" "$ours/fetching/$1"
