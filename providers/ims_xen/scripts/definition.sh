# definition: UUID; what libxl knows of a domain, as JSON.
find_domain "$1" # whatever its name is
[ -n "$domid" ] || refuse vm-not-found "there is no VM $1"
xl list -l "$domid"
