# --- Name and network --------------------------------------------------------------------------
apply_hostname() {
    short=${IMS_HOSTNAME%%.*}
    printf '%s\n' "$IMS_HOSTNAME" | put /etc/hostname 0644
    {
        [ ! -e "$root/etc/hosts" ] || sed '/^127\.0\.1\.1[[:space:]]/d' "$root/etc/hosts"
        [ "$short" != "$IMS_HOSTNAME" ] || short=
        printf '127.0.1.1 %s\n' "$IMS_HOSTNAME${short:+ $short}"
    } | put /etc/hosts 0644
    system hostname "$IMS_HOSTNAME"
}

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

# Leaves the file alone where the context names neither a server nor a domain.
apply_resolver() {
    set -f
    search='' servers='' index=0
    while [ "$index" -lt "$IMS_INTERFACES" ]; do
        get "INTERFACE_${index}_SEARCH" && search="$search $value"
        get "INTERFACE_${index}_NAMESERVERS" && servers="$servers $value"
        index=$((index + 1))
    done
    search=$(echo $search) # no space where there are none
    [ -n "$search" ] || [ -n "$(echo $servers)" ] || return 0
    {
        [ -z "$search" ] || echo "search $search"
        for address in $servers; do printf 'nameserver %s\n' "$address"; done
    } | awk '!seen[$0]++' | put /etc/resolv.conf 0644
}

# A system that manages its network is told in its own words, any other is set directly.
# What is as it was is not touched while the machine runs: that would cut its connections.
apply_network() {
    wanted_network=$(grep '^IMS_INTERFACE' "$copy/bootparams.conf" | sha256sum)
    if [ -z "${booting-}" ] && [ "$wanted_network" = "$(cat "$run/network" 2>/dev/null)" ]; then
        [ -n "$root" ] || each "$IMS_INTERFACES" item interfaces check_interface
        return
    fi
    set_network
    printf '%s\n' "$wanted_network" >"$run/network"
}

set_network() {
    backend=$(network_backend)
    if [ "$backend" = plain ]; then
        each "$IMS_INTERFACES" item interfaces apply_interface
        item resolver apply_resolver
        return
    fi
    [ "$IMS_INTERFACES" -gt 0 ] || return
    item network "write_$backend"
    [ -n "$root" ] || each "$IMS_INTERFACES" item interfaces check_interface
    [ "$backend" != ifupdown ] || item resolver apply_resolver
}

network_backend() {
    if [ -d "$root/etc/netplan" ] && has netplan; then
        echo netplan
    elif [ -d "$root/etc/NetworkManager" ] && has NetworkManager; then
        echo networkmanager
    elif [ -e "$root/etc/systemd/system/multi-user.target.wants/systemd-networkd.service" ]; then
        echo networkd
    elif [ -e "$root/etc/network/interfaces" ] && has ifup; then
        echo ifupdown
    else
        echo plain
    fi
}

# The network is being brought up by others; watches until it is, for half a minute.
check_interface() { # INDEX
    get "INTERFACE_$1_MAC"
    device=$(device_of "$value")
    [ -n "$device" ] || fail "no network card has the address $value"
    get "INTERFACE_$1_ADDRESSES" && wanted=$value
    left=30
    until has_addresses "$device" $wanted; do
        [ "$left" -gt 0 ] || fail "$device has not come up with ${wanted:-an address}"
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
