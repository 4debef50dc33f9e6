# --- The network without a manager -------------------------------------------------------------
apply_interface() { # INDEX
    get "INTERFACE_$1_MAC"
    device=$(device_of "$value")
    [ -n "$device" ] || fail "no network card has the address $value"
    pid=$run/dhcp.$device.pid # of the card's DHCP client, if it has one
    system ip link set "$device" up
    end_dhcp
    system ip addr flush dev "$device" scope global
    get "INTERFACE_$1_METHOD"
    case $value in
    static) set_addresses "$1" ;;
    *) ask_dhcp ;;
    esac
}

set_addresses() { # INDEX
    set -f # the lists below are split at spaces, and at nothing else
    get "INTERFACE_$1_ADDRESSES"
    for address in $value; do system ip addr add "$address" dev "$device"; done
    get "INTERFACE_$1_GATEWAYS"
    for gateway in $value; do
        # The metric lets several cards have a default route; the first card's is used.
        case $gateway in
        *:*) system ip -6 route replace default via "$gateway" dev "$device" metric $((100 + $1)) ;;
        *) system ip route replace default via "$gateway" dev "$device" metric $((100 + $1)) ;;
        esac
    done
}

# A client of before would set its own address again. Addresses that go take their routes along.
end_dhcp() {
    [ ! -s "$pid" ] || system kill "$(cat "$pid")" || :
    rm -f "$pid"
}

# The clients stay in the background and renew the lease.
ask_dhcp() {
    if [ -n "$root" ] || command -v udhcpc >/dev/null; then
        system udhcpc -i "$device" -n -t 10 -T 1 -p "$pid"
    elif command -v dhclient >/dev/null; then
        system dhclient -1 -pf "$pid" "$device"
    else
        fail "neither udhcpc nor dhclient is there to ask for an address"
    fi
}
