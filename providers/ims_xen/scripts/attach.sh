# attach: UUID; on a terminal. The guest's console, once a line was read.
stty raw -echo
need_vm "$1"
find_domain "$1"
is_on || refuse vm-not-running "it is not running"
# The lock that xl console itself takes, but without a word to us. Who leaves takes a moment.
held=/var/lock/xenconsole.$domid
[ ! -e "$held" ] || flock -w 2 "$held" true || refuse console-in-use "its console is in use"
exec 9>&-
echo attached
read -r _
exec xl console "$domid"
