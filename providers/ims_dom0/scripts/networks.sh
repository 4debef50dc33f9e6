# The sections from which ims_dom0.networks learns of bridges and addresses.
networks() { # BOUNDARY
    section "$1" bridges
    for bridge in /sys/class/net/*/bridge; do
        [ ! -d "$bridge" ] || (bridge=${bridge%/bridge} && echo "${bridge##*/}")
    done
    section "$1" addresses
    ip -o addr show || :
    section "$1" routes
    { ip -4 route show default && ip -6 route show default; } || :
}
