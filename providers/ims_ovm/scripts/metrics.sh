# metrics: BOUNDARY; prints sections as look does.
section "$1" xenstore
domains
section "$1" devices
xentop -b -f -i 1 2>/dev/null || xentop -b -i 1 || : # an old one does not know -f
section "$1" network
grep -H . /sys/class/net/vif*/statistics/[rt]x_bytes 2>/dev/null || :
section "$1" archive
records
