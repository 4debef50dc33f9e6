# metrics: BOUNDARY; prints sections as look does.
section "$1" domains
list_domains
printf '%s\n' "$domains"
section "$1" devices
xentop -b -f -i 1 || : # without it there are no numbers of disks
section "$1" network
grep -H . /sys/class/net/vif*/statistics/[rt]x_bytes 2>/dev/null || :
