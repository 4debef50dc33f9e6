# forgotten: UUID; the folders of machines that VirtualBox does not know any more.
cd "$vms" 2>/dev/null || exit 0
grep -lF -- "uuid=\"{$1}\"" ./*/*/*.vbox 2>/dev/null | cut -d / -f 2 || :
