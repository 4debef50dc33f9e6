# adopt: FOLDER UUID; UUID is the Manager's. vm.json of a VM that somebody else made comes as a tar
# archive.
vm=$pool/$1
lock "$vm" || refuse vm-not-found "$vm is gone"
[ ! -e "$vm/ims/vm.json" ] || refuse vm-exists "it has a mark already"
take "$2"
