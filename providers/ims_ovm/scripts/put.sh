# put: UUID IMAGE-UUID; files of the VM that are to be replaced come as a tar archive.
need_vm "$1"
take "$2"
