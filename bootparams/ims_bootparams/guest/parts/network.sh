# --- Name and network --------------------------------------------------------------------------
apply_hostname() {
    short=${IMS_HOSTNAME%%.*} name=$IMS_HOSTNAME
    [ ${#name} -le 64 ] || name=$short # the most that Linux takes
    printf '%s\n' "$IMS_HOSTNAME" | put /etc/hostname 0644
    {
        [ ! -e "$root/etc/hosts" ] || sed '/^127\.0\.1\.1[[:space:]]/d' "$root/etc/hosts"
        [ "$short" != "$IMS_HOSTNAME" ] || short=
        printf '127.0.1.1 %s\n' "$IMS_HOSTNAME${short:+ $short}"
    } | put /etc/hosts 0644
    system hostname "$name"
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

check_interface() { # INDEX
    get "INTERFACE_$1_MAC" && mac=$value
    get "INTERFACE_$1_ADDRESSES"
    await_addresses "$mac" $value
}
