# put: FOLDER; its files come as a tar archive.
mkdir -p "$vms/$1"
need_folder "$1"
take_files "$vms/$1"
rmdir "$vms/$1/.new"
