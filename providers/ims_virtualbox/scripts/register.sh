# register: NAME FOLDER WORD...; one call, which makes a machine of that name. VirtualBox would give
# it to two; of IMS's own, one at a time looks and takes it.
machine_name=$1
need_folder "$2"
shift 2
exec 8<"$vms"
flock -w 20 8 || refuse busy "another machine is being registered"
machines=$(vbox list vms)
case "
$machines" in *"
\"$machine_name\" {"*) refuse vm-exists "there is a VM $machine_name" ;; esac
vbox "$@"
