# --- The medium --------------------------------------------------------------------------------
# Reads the label itself, so that blkid is not needed and no other disk is ever mounted. On ISO 9660
# it ends with spaces, on FAT it is in upper case and ends with spaces, on ext2 with zeros.
labelled() { # DEVICE LABEL...
    drive=$1
    shift
    for offset in 32808 43 71 1144; do # ISO 9660, FAT12 and FAT16, FAT32, ext2
        text=$(dd if="$drive" bs=1 skip="$offset" count=16 2>/dev/null | tr '\000' ' ')
        for label in "$@"; do
            case $text in
            "$label" | "$label "*) return ;;
            esac
        done
    done
    return 1
}

find_device() { # LABEL...; gives $device
    for label in "$@"; do
        device=/dev/disk/by-label/$label
        [ -b "$device" ] && labelled "$device" "$@" && return
    done
    for device in /dev/sr* /dev/xvd* /dev/[vsh]d* /dev/nvme*n*; do
        [ -b "$device" ] && labelled "$device" "$@" && return
    done
    return 1
}

# Everything is read once, into a copy: the digest is of the very bytes that are applied.
copy_medium() { # DIRECTORY
    rm -rf "$copy"
    mkdir -p "$copy" && cp -R "$1/." "$copy/" && rm -rf "$copy/lost+found" &&
        chmod -R u+rwX "$copy" && leave_others_out
}

# A disk that the template brought may have files that are nobody's business here.
leave_others_out() {
    [ -f "$copy/ims.files" ] || return 0
    (cd "$copy" && find . -type f ! -name ims.nonce) | sed 's|^\./||' | grep -vxF -f "$copy/ims.files" |
        while IFS= read -r other; do rm -f "$copy/$other"; done
}

read_device() { # of $device
    mkdir -p "$run/mnt"
    for type in iso9660 vfat ext4 ext2; do # a kernel may have only one of the last two
        mount -t "$type" -o ro,nosuid,nodev,noexec "$device" "$run/mnt" 2>/dev/null || continue
        copy_medium "$run/mnt"
        copied=$?
        umount "$run/mnt"
        return "$copied"
    done
    return 1
}

# The volume's own numbers are in it, which no two deliveries share. Nothing while there is no medium.
device_fingerprint() { # of $device
    sum=$(dd if="$device" bs=4096 count=9 2>/dev/null | sha256sum)
    case $sum in
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855*) ;; # of nothing
    *) echo "$sum" ;;
    esac
}

# Like ims_bootparams.digest.digest_of.
digest_of() ( # DIRECTORY
    cd "$1" && find . -type f ! -name ims.nonce | sort | xargs sha256sum | sed 's|  \./|  |' |
        sha256sum | cut -d ' ' -f 1
)
