# What a command changes of a machine: runs it in namespaces of its own, with / below an overlay.
#
# $1 is an empty directory, $2 a colon-separated list of directories that the command reads, the
# others are the command. What changed is told on standard output, a word and a line each.
set -e
net=$1 needed=$2
shift 2

mount --make-rprivate /
mount -t tmpfs none "$net"
mkdir "$net/upper" "$net/work" "$net/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$net/upper,workdir=$net/work" "$net/root"
mount -t proc none "$net/root/proc"
mount -t tmpfs none "$net/root/dev"
mount -t sysfs none "$net/root/sys"
mknod -m 0666 "$net/root/dev/null" c 1 3
mknod -m 0666 "$net/root/dev/urandom" c 1 9
(
    IFS=:
    for path in $needed; do # where they are on file systems of their own, the overlay lacks them
        [ -e "$net/root$path" ] && continue
        mkdir -p "$net/root$path"
        mount --rbind "$path" "$net/root$path"
    done
)
hostname before
ip link add eth0 address 52:54:00:12:34:56 type veth peer name peer0
ip addr add 198.51.100.1/24 dev eth0
ip link set lo up
mkdir "$net/root/victim"
echo theirs >"$net/root/victim/file"

state() {
    (cd "$net/upper" && find . -mindepth 1 -printf 'file /%P %y %m %s %T@ %C@\n')
    (cd "$net/root/dev" && find . -printf 'dev /%P %y %m %s %T@\n')
    printf 'name %s\n' "$(hostname)"
    { ip -o addr; ip route; ip -6 route; } | sed 's/^/net /'
    sed 's/^/mount /' /proc/self/mountinfo
}

state | sort >"$net/before"
chroot "$net/root" "$@" >"$net/said" 2>&1 || echo "status $?"
state | sort >"$net/after"
LC_ALL=C comm -3 "$net/before" "$net/after" | sed 's/^\t//'
sed 's/^/said /' "$net/said"
