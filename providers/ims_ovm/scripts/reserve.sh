# reserve: NAME OPERATION; from now on nobody else of IMS imports one of that name.
[ -d "$seeds" ] || refuse no-repository "$seeds is not there"
mkdir -p "$ours/importing"
ln -sn "$2" "$ours/importing/$1" 2>/dev/null || refuse template-exists "it is being imported already"
[ ! -e "$seeds/$1" ] || {
    rm -f "$ours/importing/$1"
    refuse template-exists "there is a folder of that name in $seeds"
}
