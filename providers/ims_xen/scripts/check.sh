# check: BOUNDARY BRIDGE; what VMs need of this dom0.
section "$1" host
xl info 2>/dev/null || :
section "$1" programs
for program in xl xenstore-ls xentop python3 flock tar qemu-img pygrub; do
    path=$PATH:$(echo /usr/lib/xen*/bin | tr ' ' ':')
    PATH=$path command -v "$program" >/dev/null && echo "$program" || :
done
section "$1" bridge
[ ! -d "/sys/class/net/$2/bridge" ] || echo yes
section "$1" console
if ps -eo args 2>/dev/null | grep -q '[x]enconsoled.*--log'; then
    [ ! -d /var/log/xen/console ] || echo yes
fi
section "$1" room
room
