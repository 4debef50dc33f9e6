# The keys go to xenstore by its own protocol: xenstore-write would show them to everybody in dom0.
put_keys() { # DOMID, of $vm and $uuid
    [ -e "$vm/context.json" ] || return 0
    python3 - "$1" "$uuid" "$vm/context.json" <<'END_OF_PYTHON'
@PUT_KEYS@
END_OF_PYTHON
}

# A domain that never ran is no use to anybody; whatever fails before it runs, it goes.
run_domain() { # UUID COMMAND..., which leaves it paused; gives $domid
    uuid=$1
    shift
    # One at a time: Xen's scripts for disks and cards wait for one another, and libxl gives up those
    # that have waited for 40 seconds.
    exec 7<"$dir"
    flock -w 600 7 || refuse busy "other VMs are being started"
    : >"$vm/starting"
    "$@" >"$vm/.xl" 2>&1 7>&- 9>&- || {
        cat "$vm/.xl" >&2
        rm -f "$vm/.xl"
        find_domain "$uuid"
        ! unfinished || destroy # xl itself was killed, and left what it had made
        rm -f "$vm/starting"
        exit 66
    }
    exec 7>&-
    rm -f "$vm/.xl"
    find_domain "$uuid"
    put_keys "$domid" || {
        destroy
        rm -f "$vm/starting"
        exit 67
    }
}

let_run() {
    : >"$vm/started"
    xl unpause "$domid"
    rm -f "$vm/starting"
}

clear_unfinished() { # by $domid, $state and $seconds
    if unfinished; then
        [ ! -e "$vm/memory.used" ] || mv "$vm/memory.used" "$vm/memory"
        destroy
        domid='' state=''
    fi
    rm -f "$vm/starting"
}
