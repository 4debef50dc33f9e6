# update: UUID; the files of the new context come as a tar archive.
need_vm "$1"
find_domain "$1"
is_on || refuse vm-not-running "it is not running"
forget_memory
take_files "$vm"
put_keys "$domid"
take_mark "$vm"
