# --- Keys and values of the hypervisor ---------------------------------------------------------
# docs/context-values.md describes their form.
get_value() { # KEY
    case $carrier in
    xenstore) xenstore-read "vm-data/ims/$1" 2>/dev/null ;;
    guest-properties)
        VBoxControl --nologo guestproperty get "/IMS/Context/$1" 2>/dev/null |
            sed -n 's/^Value: //p'
        ;;
    esac
}

put_value() { # KEY VALUE
    case $carrier in
    xenstore) xenstore-write "data/ims/receipt/$1" "$2" ;;
    guest-properties) VBoxControl --nologo guestproperty set "/IMS/Receipt/$1" "$2" >/dev/null ;;
    esac
}

values_are_there() { # by $carrier
    case $carrier in
    xenstore)
        [ -e "$root/dev/xen/xenbus" ] || [ -e "$root/proc/xen/xenbus" ] || return
        command -v xenstore-read >/dev/null
        ;;
    guest-properties) [ -e "$root/dev/vboxguest" ] && command -v VBoxControl >/dev/null ;;
    esac
}

# In many guests any user may set a guest property, but not one that the host made read-only.
values_are_the_hosts() { # by $carrier
    [ "$carrier" != guest-properties ] ||
        VBoxControl --nologo guestproperty enumerate --patterns /IMS/Context/nonce 2>/dev/null |
        grep -q '[Ff]lags:.*RDONLYGUEST'
}

find_values() { # gives $carrier
    for carrier in xenstore guest-properties; do
        values_are_there && [ -n "$(get_value nonce)" ] && values_are_the_hosts && return
    done
    carrier=
    return 1
}

# A domain that Xen made anew, after a reboot, has no keys any more; what it was told last holds. The
# domain's own UUID tells a disk that was copied to another VM.
find_kept() { # gives $carrier and $kept
    carrier=xenstore
    values_are_there && [ -d "$state/kept" ] &&
        [ "$(cat "$state/kept-for" 2>/dev/null)" = "$(xenstore-read vm 2>/dev/null)" ] &&
        kept=yes && return
    carrier=
    return 1
}

keep_values() { # by $carrier; before anything is applied, for that may reboot the machine
    [ -z "$kept" ] || return 0
    rm -rf "$state/kept" "$state/kept.new"
    [ "$carrier" = xenstore ] || return 0
    xenstore-read vm >"$state/kept-for" 2>/dev/null &&
        cp -R "$copy" "$state/kept.new" && mv "$state/kept.new" "$state/kept"
}

# Unpacks an archive of plain files with plain names, and nothing else.
unpack() { # ARCHIVE
    tar -tf "$1" >"$run/names" && tar -tvf "$1" >"$run/kinds" || return 1
    ! grep -qv '^[A-Za-z0-9._/-]*$' "$run/names" || return 1
    ! grep -Eq '^/|(^|/)\.\.?(/|$)' "$run/names" || return 1
    ! grep -qv '^-' "$run/kinds" || return 1
    ! grep -Eq ' (->|link to) ' "$run/kinds" || return 1 # a hard link, to some a plain file
    rm -rf "$copy"
    mkdir -p "$copy" && tar -xf "$1" -C "$copy" && chmod -R u+rwX "$copy"
}

read_values() { # by $carrier
    [ -z "$kept" ] || { copy_medium "$state/kept" && return; }
    nonce=$(get_value nonce) count=$(get_value chunks)
    [ "$(get_value format)" = 1 ] || return
    case $count in '' | *[!0-9]* | ??????*) return 1 ;; esac
    number=0
    while [ "$number" -lt "$count" ]; do
        get_value "chunk/$(printf %04d "$number")"
        number=$((number + 1))
    done | tr -d '\n' | base64 -d | gzip -dc | head -c 75497472 >"$run/archive" # a bomb ends there
    [ "$(get_value nonce)" = "$nonce" ] && unpack "$run/archive" || return
    printf '%s\n' "$nonce" >"$copy/ims.nonce"
    rm -f "$run/archive"
}

# The receipt goes back in the form in which a context comes.
send_values() { # by $carrier
    width=2000
    [ "$carrier" = xenstore ] || width=120
    base64 <"$run/receipt" | tr -d '\n' | fold -w "$width" >"$run/pieces"
    echo >>"$run/pieces"
    number=0
    while IFS= read -r piece && [ -n "$piece" ]; do
        put_value "chunk/$(printf %04d "$number")" "$piece" || return
        number=$((number + 1))
    done <"$run/pieces"
    put_value format 1 && put_value chunks "$number" && put_value nonce "$nonce"
}

# A domain that Xen restored has no answer of its guest any more.
answer_again() { # by $carrier
    [ "$carrier" = xenstore ] && [ -e "$run/receipt" ] || return 0
    [ -z "$(xenstore-read data/ims/receipt/nonce 2>/dev/null)" ] || return 0
    if take_lock 0; then
        nonce=$(sed -n 's/^nonce //p' "$run/receipt")
        send_values || say "the receipt could not be written again: $carrier"
    fi
    release_lock
}
