# suspend: UUID
need_vm "$1"
find_domain "$1"
[ -n "$domid" ] || [ ! -e "$vm/memory" ] || exit 0
! unfinished || refuse vm-not-running "it is not running"
is_on || refuse vm-not-running "it is not running"
free=$(df -Pk "$vm" | awk 'END { print $4 }')
[ "$free" -gt $((memory * 1024 + 65536)) ] || refuse pool-full "no room to save $memory MiB"
# A guest whose CPUs are held cannot get ready for it.
case $state in *p*) xl unpause "$domid" ;; esac
keep_receipt
rm -f "$vm/memory" "$vm/memory.used" "$vm/memory.new" "$vm/starting"
# In a session of its own: a guest that is half saved is lost, so whoever ends us must not end that.
# It keeps our lock until it is done. The disk was written to last before this file.
setsid -w sh -c '
    xl save "$1" "$2/memory.new" && touch "$2/memory.new" &&
        { sync "$2/memory.new" || sync; } && mv "$2/memory.new" "$2/memory"
' sh "$domid" "$vm" >"$vm/.xl" 2>&1 || {
    cat "$vm/.xl" >&2
    rm -f "$vm/memory.new" "$vm/.xl"
    exit 66
}
rm -f "$vm/.xl"
