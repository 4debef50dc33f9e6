# resume: UUID. Once its CPUs run, the saved memory must never be used again: the disks have gone on.
uuid=$1
need_vm "$uuid"
find_domain "$uuid"
clear_unfinished
if [ -n "$domid" ]; then
    is_on || refuse vm-not-suspended "it is not suspended"
    forget_memory
    xl unpause "$domid"
    exit
fi
[ -e "$vm/memory" ] || refuse vm-not-suspended "it is not suspended"
later=$(find "$vm" -maxdepth 1 -name 'root.*' -newer "$vm/memory")
[ -z "$later" ] || refuse memory-stale "its disk was written to after its memory was saved"
run_domain "$uuid" xl restore -p "$vm/memory"
mv "$vm/memory" "$vm/memory.used"
let_run
rm -f "$vm/memory.used"
