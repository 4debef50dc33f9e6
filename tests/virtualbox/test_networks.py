"""What a network of VirtualBox can have, in lists of 6.1 and 7.2."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import ConflictError, ImsError, InvalidError, NotFoundError
from ims_core.models import Interface
from tests.virtualbox.pretended import (
    MAC,
    UUIDS,
    Machine,
    PretendedHost,
    settings_file,
)

A, B = UUIDS[:2]

LISTS = {
    "bridgedifs": """Name:            en0: Wi-Fi
GUID:            00000000-0000-0000-0000-000000000000
DHCP:            Disabled
IPAddress:       192.0.2.1
NetworkMask:     255.255.255.0
VBoxNetworkName: HostInterfaceNetworking-en0

Name:            docker0
IPAddress:       0.0.0.0
NetworkMask:     0.0.0.0

""",
    "hostonlyifs": """Name:            vboxnet0
GUID:            786f6276-656e-4074-8000-0a0027000000
IPAddress:       192.168.56.1
NetworkMask:     255.255.255.0
IPV6Address:     fe80::800:27ff:fe00:0
VBoxNetworkName: HostInterfaceNetworking-vboxnet0

""",
    "hostonlynets": """Name:            HostNetwork
GUID:            00000000-0000-0000-0000-000000000000

State:           Enabled
NetworkMask:     255.255.255.0
LowerIP:         192.168.56.1
UpperIP:         192.168.56.199

""",
}
NAT_NETWORKS = {
    "7.2": """Name:         NatNetwork
Enabled:      Yes
Network:      10.0.9.0/24
Gateway:      10.0.9.1
DHCP Server:  Yes
IPv6:         No
IPv6 Prefix:  fd17:625c:f037:2::/64
IPv6 Default: No
loopback mappings (ipv4)
        127.0.0.1=2

""",
    "6.1": """NetworkName:    NatNetwork
IP:             10.0.9.1
Network:        10.0.9.0/24
IPv6 Enabled:   No
IPv6 Prefix:    fd17:625c:f037:2::/64
DHCP Enabled:   Yes
Enabled:        Yes
loopback mappings (ipv4)
        127.0.0.1=2

""",
}


def networked(version: str = "7.2", *machines: Machine) -> PretendedHost:
    host = PretendedHost(*(machines or (Machine(),)))
    host.lists = {**LISTS, "natnetworks": NAT_NETWORKS[version]}
    return host


def completed(network: str, *addresses: str, version: str = "7.2") -> Interface:
    card = Interface(network, MAC, addresses)
    (found,) = networked(version).provider().set_addresses(A, [card])
    return found


NETWORKS = {
    "nat": ("10.0.2.77", "10.0.2.77/24"),
    "bridged:en0: Wi-Fi": ("192.0.2.9", "192.0.2.9/24"),
    "bridged:docker0": ("172.17.0.9/16", "172.17.0.9/16"),
    "hostonly:vboxnet0": ("192.168.56.9", "192.168.56.9/24"),
    "hostonlynet:HostNetwork": ("192.168.56.9/24", "192.168.56.9/24"),
    "natnetwork:NatNetwork": ("10.0.9.9", "10.0.9.9/24"),
    "intnet:any": ("203.0.113.9/28", "203.0.113.9/28"),
}


@pytest.mark.parametrize("version", NAT_NETWORKS, ids=str)
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_an_address_gets_the_prefix_length_that_is_known(network: str, version: str) -> None:
    address, expected = NETWORKS[network]
    assert completed(network, address, version=version).addresses == (expected,)
    assert completed(network, "2001:db8::9/64").addresses == ("2001:db8::9/64",)


def test_a_card_behind_nat_gets_its_gateway_and_name_server() -> None:
    card = completed("nat", "10.0.2.77")
    assert (card.gateways, card.nameservers) == (("10.0.2.2",), ("10.0.2.3",))
    assert completed("nat").gateways == ()


REFUSED = {
    "outside NAT": ("nat", "10.0.3.9/24", "address-outside-network"),
    "another prefix behind NAT": ("nat", "10.0.2.9/16", "address-outside-network"),
    "outside a host-only network": ("hostonly:vboxnet0", "10.1.1.1/24", "address-outside-network"),
    "outside a NAT network": ("natnetwork:NatNetwork", "10.1.1.1/24", "address-outside-network"),
    "no prefix length known": ("intnet:x", "203.0.113.9", "address-outside-network"),
    "none of a host without one": ("bridged:docker0", "172.17.0.9", "address-outside-network"),
    "NAT's gateway": ("nat", "10.0.2.2", "address-taken"),
    "NAT's name server": ("nat", "10.0.2.3", "address-taken"),
    "NAT's other server": ("nat", "10.0.2.4", "address-taken"),
    "the host's own": ("hostonly:vboxnet0", "192.168.56.1", "address-taken"),
    "a NAT network's gateway": ("natnetwork:NatNetwork", "10.0.9.1", "address-taken"),
    "an interface that is not there": ("bridged:eth9", "192.0.2.9", "network-not-found"),
    "a kind that is none": ("virtual:x", "192.0.2.9", "network-not-found"),
    "a kind without a name": ("intnet", "192.0.2.9", "network-not-found"),
    "NAT with a name": ("nat:x", "192.0.2.9", "network-not-found"),
}


@pytest.mark.parametrize("kind", REFUSED, ids=str)
def test_what_a_network_cannot_have_is_refused_with_a_hint(kind: str) -> None:
    network, address, code = REFUSED[kind]
    with pytest.raises(ImsError) as caught:
        completed(network, address)
    assert caught.value.code == code
    assert caught.value.hint
    assert (address if code.startswith("address") else network) in caught.value.message


def test_an_address_that_another_vm_was_promised_is_taken() -> None:
    other = settings_file(B, "db", extra={"IMS/addresses": "intnet:x=203.0.113.9 nat=10.0.2.77"})
    provider = networked("7.2", Machine(), Machine(uuid=B, name="db", content=other)).provider()
    with pytest.raises(ConflictError, match="db"):
        provider.set_addresses(A, [Interface("intnet:x", MAC, ("203.0.113.9/24",))])
    provider.set_addresses(A, [Interface("intnet:y", MAC, ("203.0.113.9/24",))])
    provider.set_addresses(B, [Interface("intnet:x", MAC, ("203.0.113.9/24",))])


def test_more_cards_than_virtualbox_has_are_refused() -> None:
    with pytest.raises(InvalidError):
        networked().provider().set_addresses(A, [Interface("nat", MAC)] * 9)


TEXTS = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                *("Name: vboxnet0\n", "IPAddress: 1.2.3.4\n", "NetworkMask: 0.0.0.255\n", "\n\n"),
                *("Network: 10.0.0.0/99\n", "Gateway: ::1\n", "IPAddress: ::1%x\n", "IP: \n", ":"),
                *("NetworkMask: 255.255.255.0\n", "IPAddress: 300.1.1.1\n", "Network: /24\n"),
            ]
        ),
        max_size=9,
    ).map("".join),
)


@given(TEXTS)
def test_no_list_of_networks_raises_anything_but_a_refusal(text: str) -> None:
    host = PretendedHost(Machine())
    text = text.encode(errors="replace").decode()
    host.lists = dict.fromkeys((*LISTS, "natnetworks"), text)
    for network in ("hostonly:vboxnet0", "natnetwork:vboxnet0"):
        with suppress(NotFoundError, InvalidError, ConflictError):
            host.provider().set_addresses(A, [Interface(network, MAC, ("192.0.2.9/24",))])
