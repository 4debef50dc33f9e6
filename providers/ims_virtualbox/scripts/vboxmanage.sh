# vboxmanage: FOLDER TEMPLATE WORD...; one call, while nobody touches that VM's folder or template.
[ -z "$1" ] || need_folder "$1"
[ -z "$2" ] || hold_template "$2"
shift 2
vbox "$@"
