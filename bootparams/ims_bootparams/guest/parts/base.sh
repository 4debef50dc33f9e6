# --- Small tools -------------------------------------------------------------------------------
export LC_ALL=C PATH="${PATH:-/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
unset CDPATH
umask 077

set_root() { # DIRECTORY, empty for this machine
    root=
    [ -z "$1" ] || root=$(umask 022 && mkdir -p "$1" && cd -P "$1" && pwd) || exit 1
    root=${root%/}
    run=$root/run/ims
    state=$root/var/lib/ims
    log=$root/var/log/ims-context.log
    copy=$run/medium
    for folder in /run/ims /var/lib/ims /var/log; do
        (umask 022 && go_to "$folder") || exit 1
    done
    [ -z "$root" ] || drop_links
    chmod 0700 "$run" "$state"
}

# Where we write by name, nothing that was there before may lead out of the directory: no link of
# either kind, no device, no pipe.
drop_links() {
    find "$run" "$state" "$log" ! -type d \( ! -type f -o -links +1 \) -exec rm -f {} + 2>/dev/null
}

# Goes into a directory of the machine, and makes what is missing of it. Every step is looked at:
# neither `..` nor a link may lead out of the root, for what is outside is another machine's.
go_to() { # PATH
    cd -P "$root/" || return
    ahead=${1#/}/
    while [ -n "$ahead" ]; do
        step=${ahead%%/*} ahead=${ahead#*/}
        [ -n "$step" ] || continue
        [ -d "./$step" ] || mkdir -p "./$step" || return # -p: another run may just make it
        cd -P "./$step" || return
        case $PWD/ in "$root"/*) ;; *) fail "$1 leads out of $root" ;; esac
    done
}

# Removes files of ours, if the directory is there.
clear_away() ( # DIRECTORY PATTERN
    [ -d "$root$1" ] || exit 0
    go_to "$1" && set +f && rm -f ./$2
)

say() {
    printf 'ims-context: %s\n' "$*" | tee -a "$log"
}

# Ends the current item (each runs in a subshell) as failed.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs what changes the machine itself. Into a directory it is only noted down: this is another one.
system() {
    [ -z "$root" ] || { printf '%s\n' "$*" >>"$run/commands" && return; }
    (umask 022 && "$@")
}

# The same, for at most so long: a network may never come up.
system_within() { # SECONDS COMMAND...
    seconds=$1
    shift
    [ -n "$root" ] || ! command -v timeout >/dev/null || set -- timeout "$seconds" "$@"
    system "$@"
}

has() { # COMMAND
    for folder in /usr/sbin /usr/bin /sbin /bin /usr/local/sbin /usr/local/bin; do
        [ ! -x "$root$folder/$1" ] || return 0
    done
    return 1
}

own() { [ -n "$root" ] || chown -h "$@"; } # OWNER PATH

# Standard input becomes the file, whole or not at all, with the mode and the owner from the start.
put() { # PATH MODE [OWNER]
    [ ! -d "$root$1" ] || fail "$1 is a directory"
    (umask 022 && go_to "${1%/*}" && umask 077 && put_here "${1##*/}" "$2" "${3:-0:0}") ||
        fail "$1 could not be written"
}

# The same, in the current directory. That may be a user's own, who could lay a link there at any
# moment, so the file is made in a directory that only root can enter; moved by its name into
# another, it replaces a link and does not follow it.
put_here() { # NAME MODE OWNER
    [ -e .ims-new ] || mkdir .ims-new || return
    enter .ims-new && [ -O . ] && chmod 0700 . && rm -f "./$1" || return
    cat >"./$1" && own "$3" "./$1" && # chown takes the set-user-ID bit away, so chmod comes after
        chmod "$2" "./$1" && mv -f "./$1" .. && cd .. && { rmdir .ims-new || :; }
}

# Goes into a directory of the current one, and never through a link to anywhere else.
enter() { # NAME
    above=$(stat -c %d:%i .) && cd -P "./$1" && [ "$(stat -c %d:%i ..)" = "$above" ]
}

# Two runs never overlap. The kernel gives the lock back when its holder ends, however that was;
# nothing that outlives a run may inherit descriptor 9. Where there is no flock there is no lock.
take_lock() { # SECONDS
    exec 9>"$run/lock"
    command -v flock >/dev/null || return 0
    left=$1
    until flock -n 9; do
        [ "$left" -gt 0 ] || return
        left=$((left - 1))
        sleep 1
    done
}

release_lock() { exec 9>&-; }
