# registry: BOUNDARY; which machines run, what processes run machines, and VirtualBox's list of all.
section "$1" running
vbox list runningvms --long
section "$1" processes
ps -A -o args= 2>/dev/null | sed -n '/ --startvm /p'
section "$1" home
home=$(settings_home)
printf '%s\n' "$home"
section "$1" registry
# VirtualBox renames it to VirtualBox.xml-prev before the new one takes its place.
tries=50
until cat "$home/VirtualBox.xml" 2>/dev/null; do
    [ -e "$home/VirtualBox.xml" ] || [ -e "$home/VirtualBox.xml-prev" ] || break
    [ "$tries" -gt 0 ] || refuse no-registry "$home/VirtualBox.xml cannot be read"
    tries=$((tries - 1))
    sleep 0.1
done
