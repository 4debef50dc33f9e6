#!/bin/sh
# Installs ims-context: ./install.sh, or DESTDIR=/mnt/image ./install.sh into an image.
set -eu
cd "$(dirname "$0")"
root=${DESTDIR-}

put() { # MODE FILE PLACE
    mkdir -p "$root${3%/*}"
    cp "$2" "$root$3"
    chmod "$1" "$root$3"
}

enable_unit() { # UNIT
    wants=$root/etc/systemd/system/multi-user.target.wants
    mkdir -p "$wants"
    ln -sf "/usr/lib/systemd/system/$1" "$wants/$1"
}

put 755 ims-context /usr/sbin/ims-context
put 644 guest.md /usr/share/doc/ims-context/guest.md
if [ -d "$root/etc/runlevels" ]; then
    put 755 ims-context.openrc /etc/init.d/ims-context
    ln -sf /etc/init.d/ims-context "$root/etc/runlevels/default/ims-context"
elif [ -d "$root/etc/systemd/system" ]; then
    for unit in ims-context.service ims-context-watch.service; do
        put 644 "$unit" "/usr/lib/systemd/system/$unit"
        enable_unit "$unit"
    done
else
    put 755 ims-context.init /etc/init.d/ims-context
    for level in 2 3 4 5; do
        mkdir -p "$root/etc/rc$level.d"
        ln -sf ../init.d/ims-context "$root/etc/rc$level.d/S20ims-context"
    done
fi
echo "ims-context is installed, and runs from the next boot on"
