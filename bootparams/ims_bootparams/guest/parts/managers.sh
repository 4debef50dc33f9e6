# --- The network by its manager ----------------------------------------------------------------
# Each writes files of ours alone, and removes those of ours that are no longer wanted. The lists
# are split at spaces, and at nothing else. The metric lets several cards have a default route.
each_card() { # COMMAND
    set -f
    card=0
    while [ "$card" -lt "$IMS_INTERFACES" ]; do
        get "INTERFACE_${card}_MAC" && mac=$value
        get "INTERFACE_${card}_METHOD" && method=$value
        get "INTERFACE_${card}_ADDRESSES" && addresses=$value
        get "INTERFACE_${card}_GATEWAYS" && gateways=$value
        get "INTERFACE_${card}_NAMESERVERS" && servers=$value
        get "INTERFACE_${card}_SEARCH" && search=$value
        "$1"
        card=$((card + 1))
    done
}

quoted() { # WORD...; as a list of YAML
    for word in "$@"; do printf '"%s", ' "$word"; done | sed 's/, $//'
}

# https://netplan.readthedocs.io/en/stable/netplan-yaml/
write_netplan() {
    {
        printf 'network:\n  version: 2\n  ethernets:\n'
        each_card netplan_card
    } | put /etc/netplan/60-ims.yaml 0600
    system_within 90 netplan apply
}

netplan_card() {
    # Of several that match a card networkd takes the one whose name sorts first.
    printf '    00-ims%s:\n      match: {macaddress: "%s"}\n' "$card" "$mac"
    if [ "$method" = dhcp ]; then
        printf '      dhcp4: true\n'
    else
        printf '      addresses: [%s]\n' "$(quoted $addresses)"
    fi
    [ -z "$gateways" ] || printf '      routes:\n'
    for gateway in $gateways; do
        case $gateway in *:*) all=::/0 ;; *) all=0.0.0.0/0 ;; esac
        printf '        - {to: "%s", via: "%s", metric: %s}\n' "$all" "$gateway" $((100 + card))
    done
    [ -n "$servers$search" ] || return 0
    printf '      nameservers: {addresses: [%s], search: [%s]}\n' \
        "$(quoted $servers)" "$(quoted $search)"
}

# https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html
write_networkmanager() {
    folder=/etc/NetworkManager/system-connections
    clear_away "$folder" 'ims-*.nmconnection'
    each_card networkmanager_card
    system_within 30 nmcli connection reload
    card=0
    while [ "$card" -lt "$IMS_INTERFACES" ]; do
        system_within 90 nmcli connection up "ims-$card"
        card=$((card + 1))
    done
}

networkmanager_card() {
    {
        printf '[connection]\nid=ims-%s\ntype=ethernet\nautoconnect-priority=100\n\n' "$card"
        printf '[ethernet]\nmac-address=%s\n' "$mac"
        networkmanager_family ipv4 '*.*'
        networkmanager_family ipv6 '*:*'
    } | put "$folder/ims-$card.nmconnection" 0600
}

networkmanager_family() { # ipv4|ipv6 PATTERN
    printf '\n[%s]\n' "$1"
    count=0 listed=''
    for address in $addresses; do
        case $address in $2) count=$((count + 1)) && echo "address$count=$address" ;; esac
    done
    if [ "$count" -eq 0 ] && [ "$1" = ipv4 ] && [ "$method" != dhcp ]; then
        echo method=disabled # which permits nothing else
        return
    fi
    for gateway in $gateways; do
        case $gateway in $2) printf 'gateway=%s\nroute-metric=%s\n' "$gateway" $((100 + card)) ;; esac
    done
    for server in $servers; do
        case $server in $2) listed=$listed$server\; ;; esac
    done
    [ -z "$listed" ] || echo "dns=$listed"
    [ -z "$search" ] || echo "dns-search=$(echo $search | tr ' ' ';');"
    [ "$count" -gt 0 ] && echo method=manual || echo method=auto
}

# systemd.network(5)
write_networkd() {
    clear_away /etc/systemd/network '05-ims-*.network'
    each_card networkd_card
    system_within 30 networkctl reload
}

networkd_card() {
    {
        printf '[Match]\nMACAddress=%s\n\n[Network]\n' "$mac"
        [ "$method" != dhcp ] || echo DHCP=yes
        for server in $servers; do echo "DNS=$server"; done
        [ -z "$search" ] || echo "Domains=$search"
        for address in $addresses; do echo "Address=$address"; done
        for gateway in $gateways; do
            printf '\n[Route]\nGateway=%s\nMetric=%s\n' "$gateway" $((100 + card))
        done
    } | put "/etc/systemd/network/05-ims-$card.network" 0644
}

# interfaces(5), in the words that Debian's ifupdown and busybox's both know. What was there stays
# beside it: two descriptions of one card would contradict.
write_ifupdown() {
    interfaces=/etc/network/interfaces
    grep -q '^# Written by ims-context' "$root$interfaces" ||
        (go_to /etc/network && rm -f ./interfaces.before-ims &&
            cp -p ./interfaces ./interfaces.before-ims)
    found='' lost='' # cards that are there, and that are not; the former need the latter not
    {
        printf '# Written by ims-context; %s is as it was.\n' "$interfaces.before-ims"
        printf 'auto lo\niface lo inet loopback\n'
        each_card ifupdown_card
    } >"$run/interfaces" # not into a pipe, where this would be forgotten
    [ -n "$found" ] || fail "no network card has the address$lost"
    put "$interfaces" 0644 <"$run/interfaces"
    set +f
    for path in "$root"/sys/class/net/*; do
        name=${path##*/}
        grep -qx "auto $name" "$root$interfaces" && [ "$name" != lo ] || continue
        system_within 30 ifdown -f "$name" || :
        system_within 90 ifup "$name" || lost="$lost $name"
    done
    [ -z "$lost" ] || fail "not there, or cannot be set:$lost"
}

ifupdown_card() {
    device=$(set +f && device_of "$mac")
    [ -n "$device" ] || { lost="$lost $mac" && return; }
    found=yes
    printf '\nauto %s\n' "$device"
    [ "$method" != dhcp ] || printf 'iface %s inet dhcp\n' "$device"
    families=
    for address in $addresses; do
        prefix=${address#*/}
        case $address in
        *:*) family=inet6 pattern='*:*' mask=$prefix ;;
        *) family=inet pattern='*.*' mask=$(dotted "$prefix") ;;
        esac
        printf 'iface %s %s static\n    address %s\n    netmask %s\n' \
            "$device" "$family" "${address%/*}" "$mask"
        case $families in *" $family "*) continue ;; esac # a gateway is told once
        families="$families $family "
        for gateway in $gateways; do
            case $gateway in
            $pattern) printf '    gateway %s\n    metric %s\n' "$gateway" $((100 + card)) ;;
            esac
        done
    done
}

dotted() { # PREFIX-LENGTH
    bits=$((0xffffffff << (32 - $1) & 0xffffffff))
    echo $((bits >> 24)).$((bits >> 16 & 255)).$((bits >> 8 & 255)).$((bits & 255))
}
