# put: UUID; files of its folder that are to be replaced come as a tar archive.
need_vm "$1"
find_domain "$1"
[ -z "$domid" ] || keep_receipt
forget_memory
take_files "$vm"
take_mark "$vm"
