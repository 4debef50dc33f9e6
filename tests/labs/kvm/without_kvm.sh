#!/bin/sh
# Replace ourselves by the given command, in a world without /dev/kvm.
#
# usage: unshare --mount without_kvm.sh QEMU_CONF COMMAND [ARGUMENT ...]
#
# Why: on a machine without vmx or svm /dev/kvm may exist and open, and a guest of
# type kvm then never executes; and libvirt, which trusts the file, probes QEMU again
# at nearly every call. The file must not exist; another file bound over it would not do.
# QEMU_CONF replaces libvirt's own within this mount namespace only.
set -eu

conf=$1
shift

devices=$(mktemp -d)
mount -t tmpfs -o mode=755,size=64k ims-lab-dev "$devices"
for name in null zero full random urandom tty fuse loop-control vhost-net net/tun; do
    [ -e "/dev/$name" ] || continue
    mkdir -p "$(dirname "$devices/$name")"
    : >"$devices/$name"
    mount --bind "/dev/$name" "$devices/$name"
done
for name in pts shm hugepages mapper; do
    [ -d "/dev/$name" ] || continue
    mkdir "$devices/$name"
    mount --bind "/dev/$name" "$devices/$name"
done
# A node of its own: the kernel looks for pts beside the node that was opened, and for a
# bound one that is beside the original, out of reach ("Failed to create PTY").
mknod -m 666 "$devices/ptmx" c 5 2
ln -s /proc/self/fd "$devices/fd"
ln -s /proc/self/fd/0 "$devices/stdin"
ln -s /proc/self/fd/1 "$devices/stdout"
ln -s /proc/self/fd/2 "$devices/stderr"
mount --move "$devices" /dev
rmdir "$devices"

mount --bind "$conf" /etc/libvirt/qemu.conf
exec "$@"
