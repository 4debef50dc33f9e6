# forgotten: UUID; the settings files in which that stands, as a tar archive.
cd "$vms" 2>/dev/null || exit 0
grep -lF -- "$1" ./*/*/*.vbox 2>/dev/null | tr '\n' '\0' | tar --null -cf - -T - 2>/dev/null || :
