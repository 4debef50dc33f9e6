# delete: UUID
find_vm "$1"
[ -z "$vm" ] || remove_vm "$1"
