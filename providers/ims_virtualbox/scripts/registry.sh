# registry: BOUNDARY; which machines run, what processes run machines, and VirtualBox's list of all.
section "$1" running
vbox list runningvms --long
section "$1" processes
ps -A -o args= 2>/dev/null | sed -n '/ --startvm /p'
section "$1" home
home=$(settings_home)
printf '%s\n' "$home"
section "$1" registry
cat "$home/VirtualBox.xml" 2>/dev/null || :
