# claim: FOLDER UUID; the VM that the Manager made becomes ours. Its files come as a tar archive; UUID
# is the Manager's.
vm=$pool/$1
lock "$vm" || refuse vm-not-found "$vm is gone"
take "$2"
