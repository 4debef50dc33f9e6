# resume: UUID. Once its CPUs run, the saved memory must never be used again: the disks have gone on.
uuid=$1
need_vm "$uuid"
find_domain "$uuid"
clear_unfinished
if [ -n "$domid" ]; then
    is_on || refuse vm-not-suspended "it is not suspended"
    rm -f "$vm/memory" "$vm/memory.used"
    xl unpause "$domid"
    exit
fi
[ -e "$vm/memory" ] || refuse vm-not-suspended "it is not suspended"
run_domain "$uuid" xl restore -p "$vm/memory"
mv "$vm/memory" "$vm/memory.used"
let_run
rm -f "$vm/memory.used"
