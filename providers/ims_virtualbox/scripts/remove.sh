# remove: FOLDER; the settings file goes last, because it tells whose folder that is. A call that
# nobody waits for may have made VirtualBox know something in it, while this one waited for the lock.
lock "$vms/$1" || { echo absent && exit; }
! grep -qF "/vms/$1/" "$(settings_home)/VirtualBox.xml" 2>/dev/null ||
    refuse busy "VirtualBox knows something in $vms/$1"
find "$vms/$1" ! -type d ! -name '*.vbox' -exec rm -f {} +
rm -rf "${vms:?}/$1"
echo removed
