# --- Small tools -------------------------------------------------------------------------------
export LC_ALL=C PATH="${PATH:-/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
umask 077

set_root() { # DIRECTORY, empty for this machine
    root=${1%/}
    run=$root/run/ims
    state=$root/var/lib/ims
    log=$root/var/log/ims-context.log
    copy=$run/medium
    (umask 022 && mkdir -p "$run" "$state" "${log%/*}") || exit 1
    chmod 0700 "$run" "$state"
}

say() {
    printf 'ims-context: %s\n' "$*" | tee -a "$log"
}

# Ends the current item (each runs in a subshell) as failed.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs what changes the machine itself. Into a directory it is only noted down.
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
    (umask 022 && mkdir -p "$root${1%/*}/")
    (cd -P "$root${1%/*}/" && put_here "${1##*/}" "$2" "${3:-0:0}") ||
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
