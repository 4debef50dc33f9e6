# drop: FOLDER FILE...
need_folder "$1"
cd "$vms/$1"
shift
rm -f -- "$@"
