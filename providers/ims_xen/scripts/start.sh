# start: UUID; files that are to be replaced before come as a tar archive.
uuid=$1
need_vm "$uuid"
find_domain "$uuid"
clear_unfinished
[ ! -e "$vm/memory" ] || [ -n "$state" ] || refuse vm-suspended "it is suspended to disk"
! is_on || refuse vm-running "it is running already"
[ -z "$domid" ] || destroy
# What was saved, and what was answered, is of an earlier start.
rm -f "$vm/memory" "$vm/memory.used" "$vm/memory.new" "$vm/receipt"
take_files "$vm"
take_mark "$vm"
run_domain "$uuid" xl create -q -p "$vm/vm.cfg"
let_run
