# --- The receipt -------------------------------------------------------------------------------
port_name=org.ims.receipt.0
port_patience=10 # seconds that a receipt nobody takes may hold up the boot

addresses() {
    [ -z "${confined-}" ] || { each_card told_addresses && return; }
    ip -o addr | awk '/ scope global/ && $4 ~ "/" { print $2, $4 }' | while read -r card address; do
        mac=$(cat "$root/sys/class/net/${card%%@*}/address") && echo "address $mac $address"
    done
}

# A directory has no network; its addresses are those that were noted down for a card that it has.
told_addresses() {
    [ -n "$(set +f && device_of "$mac")" ] || return 0
    for address in $addresses; do echo "address $mac $address"; done
}

write_receipt() {
    nonce=$(tr -cd '0-9A-Za-z-' <"$copy/ims.nonce" 2>/dev/null | cut -c 1-64)
    nonce=${nonce:-none}
    {
        printf 'IMS-RECEIPT 1\ndigest sha256:%s\nnonce %s\n' "$digest" "$nonce"
        cat "$run/results"
        addresses 2>/dev/null | head -n 500 # more than a receipt may have would spoil it
        printf 'end\n'
    } >"$run/receipt.new"
    mv -f "$run/receipt.new" "$run/receipt"
}

receipt_port() {
    for path in "$root"/sys/class/virtio-ports/*; do
        [ "$(cat "$path/name" 2>/dev/null)" = "$port_name" ] || continue
        echo "$root/dev/${path##*/}" && return
    done
    # VirtualBox has no such ports; the second serial port of its machines is for this.
    [ "$(cat "$root/sys/class/dmi/id/product_name" 2>/dev/null)" = VirtualBox ] &&
        case $(cat "$root/sys/class/tty/ttyS1/type" 2>/dev/null) in '' | 0) false ;; esac &&
        echo "$root/dev/ttyS1"
}

# A write blocks for as long as nobody reads at the other end. The empty line ends whatever an
# earlier write may have left half done.
send_to_port() {
    port=$(receipt_port) || return 0
    echo | timeout "$port_patience" sh -c 'exec cat - "$1" >"$2"' sh "$run/receipt" "$port"
}
