# --- Network cards -----------------------------------------------------------------------------
# Prints the name of the card. A bridge or bond may have the same address; a card has a device.
device_of() { # MAC
    other=
    for path in "$root"/sys/class/net/*; do
        [ "$(cat "$path/address" 2>/dev/null)" = "$1" ] || continue
        other=${path##*/}
        [ ! -e "$path/device" ] || break
    done
    echo "$other"
}

# The network is being brought up by others; watches until it is, for half a minute.
await_addresses() { # MAC ADDRESS..., or any address at all
    mac=$1
    shift
    device=$(device_of "$mac")
    [ -n "$device" ] || fail "no network card has the address $mac"
    left=30
    until has_addresses "$device" "$@"; do
        [ "$left" -gt 0 ] || fail "$device has not come up with ${*:-an address}"
        left=$((left - 1))
        sleep 1
    done
}

has_addresses() { # DEVICE ADDRESS..., or any address at all
    shown=$(ip -o addr show dev "$1" scope global | awk '{ print " " $4 " " }')
    shift
    [ -n "$shown" ] || return
    for address in "$@"; do
        case $shown in *" $address "*) ;; *) return 1 ;; esac
    done
}
