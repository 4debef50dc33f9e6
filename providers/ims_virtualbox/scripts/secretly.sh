# secretly: FOLDER; each line that comes is the arguments of one call. They are read by VBoxManage
# from a file, because everybody can see the arguments of a process.
need_folder "$1"
file=$vms/$1/.arguments
trap 'rm -f "$file"' EXIT
while IFS= read -r line; do
    printf '%s\n' "$line" >"$file"
    vbox "@$file" </dev/null
done
