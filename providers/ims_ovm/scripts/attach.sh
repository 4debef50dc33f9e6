# attach: UUID IMAGE-UUID; on a terminal. The guest's console, once a line was read.
stty raw -echo
need_vm "$1"
domid=$(domain_of "$2")
[ -n "$domid" ] || refuse vm-not-running "it is not running in this dom0"
# The lock that xl console itself takes, but without a word to us. Who leaves takes a moment.
held=/var/lock/xenconsole.$domid
[ ! -e "$held" ] || flock -w 2 "$held" true || refuse console-in-use "its console is in use"
exec 9>&-
echo attached
read -r _
if command -v xl >/dev/null; then exec xl console "$domid"; else exec xm console "$domid"; fi
