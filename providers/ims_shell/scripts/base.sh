# Begins every script. $1 is the pool's directory.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077
dir=$1
making=$dir/making
shift

# Ends the script: IMS knows the word, a person reads the sentence.
refuse() { # WORD SENTENCE
    printf 'ims-refusal %s %s\n' "$1" "$2" >&2
    exit 65
}

# Begins a part of what a script prints, which ends where the next begins.
section() { printf '%s %s\n' "$1" "$2"; } # BOUNDARY NAME

# The line of df for the directory, or for where it will be made.
room() {
    place=$dir
    until [ -d "$place" ]; do place=${place%/*} place=${place:-/}; done
    df -Pk "$place" | tail -n 1
}

# The lock of a folder is the folder itself, so that none is left behind; it goes with the last
# process that has descriptor 9. Fails when the folder is not there (any more).
lock() { # FOLDER
    true 2>/dev/null <"$1" || return 1 # an exec that fails would end the script
    exec 9<"$1"
    flock -w 20 9 || refuse busy "$1 is in use by another request"
    # shellcheck disable=SC3013 # every sh that is met knows -ef
    [ "$1" -ef /proc/self/fd/9 ]
}

# What comes on standard input, a tar archive; one that was cut short between two files looks whole
# to tar, but lacks the last.
unpack() { # FOLDER
    tar -xf - -C "$1"
    rm "$1/.whole" || refuse cut-short "what was sent did not arrive whole"
}

# What comes on standard input, a tar archive, takes the place of a folder's files one by one. An
# archive that was cut short changes nothing. The mark waits until it is true.
take_files() { # FOLDER
    rm -rf "$1/.new"
    mkdir "$1/.new"
    unpack "$1/.new"
    for file in "$1"/.new/*; do
        case $file in */mark.json | "$1/.new/*") ;; *) mv -f "$file" "$1/" ;; esac
    done
}

take_mark() { # FOLDER, after take_files
    [ ! -e "$1/.new/mark.json" ] || mv -f "$1/.new/mark.json" "$1/"
    rmdir "$1/.new"
}
