#!/bin/sh
# auto-mounter.sh: keeps a view of the context in which the files of a recontextualization disc
# stand in place of the context disc's. Run it as root in the background, once at each boot.
#
# Each second it reads the first blocks of the drives. When they changed, and are the same a second
# time, it copies both discs' data/ into a new directory, to which the view, a symbolic link, then
# leads in one step. Nothing on a disc is executed.
export LC_ALL=C
umask 077
context=${OPTIMIS_CONTEXT:-/tmp/context} # where the context disc is mounted
drives=${OPTIMIS_DRIVES:-/dev/sr1 /dev/hdd /dev/xvdd}
view=${OPTIMIS_VIEW:-/mnt/context}
state=${OPTIMIS_STATE:-/run/optimis} # best in memory: keys are copied there
period=${OPTIMIS_PERIOD:-1}
limit=65536 # KiB that a recontextualization disc may have
disc=$state/disc

# A disc's volume descriptor is in them, with what no two discs share.
first_blocks() {
    for drive in $drives; do
        echo "$drive $(dd if="$drive" bs=4096 count=9 2>/dev/null | sha256sum)"
    done
}

is_recontext() { # what is mounted
    dd if="$disc/.metadata" bs=4096 count=1 2>/dev/null | grep -qx 'type=recontext' &&
        [ -d "$disc/data" ] && [ ! -L "$disc/data" ] || return
    size=$(du -sk "$disc/data") && [ "${size%%[!0-9]*}" -le "$limit" ]
}

mount_recontext() {
    for drive in $drives; do
        mount -t iso9660 -o ro,nosuid,nodev,noexec "$drive" "$disc" 2>/dev/null || continue
        is_recontext && return
        umount "$disc"
    done
    return 1
}

# Only directories and files: through a link the next copy would write elsewhere.
copy() { # DIRECTORY
    cp -Rf "$1/." "$new/" && find "$new" ! -type d ! -type f -exec rm -f {} +
}

make_view() { # gives $new
    for old in "$state"/view.*; do
        [ "$old" = "$current" ] || rm -rf "$old"
    done
    mkdir -p "$disc" && new=$(mktemp -d "$state/view.XXXXXX") && copy "$context/data" || return
    if mount_recontext; then
        copy "$disc/data"
        copied=$?
        umount "$disc"
        return "$copied"
    fi
}

# A link is replaced in one step only by one of its name that is moved into its directory. The view
# of before stays until the next change, for whoever is just reading it.
show_view() {
    name=${view##*/} folder=${view%/*}
    fresh=$folder/.$name.new
    rm -rf "$fresh" && mkdir "$fresh" && ln -s "$new" "$fresh/$name" &&
        mv -f "$fresh/$name" "$folder/" && current=$new
}

[ -L "$view" ] || [ ! -e "$view" ] || rmdir "$view" || exit
umount "$disc" 2>/dev/null # of a run that was killed
current=$(readlink "$view") shown=''
before=$(first_blocks)
while :; do
    now=$(first_blocks)
    if [ "$now" = "$before" ] && [ "$now" != "$shown" ]; then
        make_view && show_view && shown=$now
    fi
    before=$now
    sleep "$period"
done
