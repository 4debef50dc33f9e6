# remove: FOLDER; the settings file goes last, because it tells whose folder that is.
lock "$vms/$1" || { echo absent && exit; }
find "$vms/$1" ! -type d ! -name '*.vbox' -exec rm -f {} +
rm -rf "${vms:?}/$1"
echo removed
