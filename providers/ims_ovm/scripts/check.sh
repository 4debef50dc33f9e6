# check: BOUNDARY BRIDGE; what VMs need of this dom0.
section "$1" programs
for program in xenstore-ls xentop flock tar gzip mount ip; do
    command -v "$program" >/dev/null && echo "$program" || :
done
section "$1" folders
for folder in "$pool" "$seeds"; do [ ! -d "$folder" ] || echo "$folder"; done
section "$1" bridge
[ ! -d "/sys/class/net/$2/bridge" ] || echo yes
section "$1" room
room
