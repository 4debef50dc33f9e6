# look: BOUNDARY EVIDENCE; prints sections, each after a line with the boundary.
section "$1" xenstore
domains
if [ "$2" = yes ]; then
    section "$1" neighbours
    ip neigh show || :
fi
section "$1" files
[ ! -d "$pool" ] || find "$pool" -mindepth 2 -maxdepth 2 -type f -printf '%P\n' 2>/dev/null || :
section "$1" archive
if [ "$2" = yes ]; then records receipt; else records; fi
