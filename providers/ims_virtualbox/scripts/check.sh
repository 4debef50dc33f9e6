# check: BOUNDARY
section "$1" version
if command -v VBoxManage >/dev/null; then VBoxManage -q --version 2>&1 || :; fi
section "$1" driver
if [ -c /dev/vboxdrv ]; then echo there; elif [ "$(uname -s)" != Linux ]; then echo unknown; fi
section "$1" flags
grep -m 1 -o -w -e vmx -e svm /proc/cpuinfo 2>/dev/null || :
section "$1" kvm
[ ! -d /sys/module/kvm ] || cat /sys/module/kvm_*/refcnt 2>/dev/null || :
section "$1" programs
for program in flock tar ps; do
    ! command -v "$program" >/dev/null || echo "$program"
done
section "$1" room
room
