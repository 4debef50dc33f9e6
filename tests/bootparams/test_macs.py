from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_bootparams.macs import Decoded, MacScheme, decode, encode, mac_for
from ims_core.errors import InvalidError
from ims_core.models import Interface

GUIDE, SCRIPTS = MacScheme.GUIDE, MacScheme.SCRIPTS
ADDRESSES = st.ip_addresses(v=4)


def test_the_guide_s_example_with_its_erratum() -> None:
    address, gateway = IPv4Address("192.168.2.10"), IPv4Address("192.168.1.1")
    assert encode(GUIDE, address, gateway) == "c0:a8:01:01:02:0a"
    assert decode(GUIDE, "C0-A8-01-01-02-0A") == Decoded(address, gateway)
    # What the guide prints for it is another machine's.
    assert decode(GUIDE, "0C-A8-01-01-02-0A") == Decoded(
        IPv4Address("12.168.2.10"), IPv4Address("12.168.1.1")
    )


def test_opennebula_s_macs() -> None:
    assert encode(SCRIPTS, IPv4Address("192.168.1.10")) == "02:00:c0:a8:01:0a"
    assert decode(SCRIPTS, "02:00:c0:a8:01:0a") == Decoded(IPv4Address("192.168.1.10"))
    assert decode(SCRIPTS, "0a:12:34:56:78:9a") == Decoded(None), "it uses DHCP"


@given(ADDRESSES)
def test_scripts_comes_back(address: IPv4Address) -> None:
    assert decode(SCRIPTS, encode(SCRIPTS, address)) == Decoded(address)


@given(ADDRESSES, st.binary(min_size=2, max_size=2))
def test_guide_comes_back_or_would_be_multicast(address: IPv4Address, rest: bytes) -> None:
    gateway = IPv4Address(address.packed[:2] + rest)
    if address.packed[0] % 2:
        with pytest.raises(InvalidError, match="multicast"):
            encode(GUIDE, address, gateway)
    else:
        assert decode(GUIDE, encode(GUIDE, address, gateway)) == Decoded(address, gateway)


def test_guide_refuses_what_it_cannot_say() -> None:
    with pytest.raises(InvalidError, match="needs a gateway"):
        encode(GUIDE, IPv4Address("10.0.0.2"))
    with pytest.raises(InvalidError, match="same two octets"):
        encode(GUIDE, IPv4Address("10.1.0.2"), IPv4Address("10.0.0.1"))


@pytest.mark.parametrize("mac", ["", "c1:a8:01:01:02:0a", "02:00:c0:a8:01", "02:00:c0:a8:01:0g"])
@pytest.mark.parametrize("scheme", list(MacScheme))
def test_what_is_no_card_s_mac_is_refused(scheme: MacScheme, mac: str) -> None:
    with pytest.raises(InvalidError):
        decode(scheme, mac)


def test_a_card_s_mac() -> None:
    static = Interface(addresses=("2001:db8::2/64", "10.0.3.4/16"), gateways=("10.0.0.1",))
    assert mac_for(GUIDE, static, b"") == "0a:00:00:01:03:04"
    assert mac_for(SCRIPTS, static, b"") == "02:00:0a:00:03:04"
    assert mac_for(SCRIPTS, Interface(), b"abcdef") == "0a:61:62:63:64:65"
    assert mac_for(GUIDE, Interface(), b"abcdef") == ""
    assert mac_for(SCRIPTS, Interface(addresses=("2001:db8::2/64",)), b"abcdef") == ""
    for bad in (Interface(addresses=("10.0.0.300",)), Interface(gateways=("x",))):
        with pytest.raises(InvalidError):
            mac_for(SCRIPTS, bad, b"abcdef")
    with pytest.raises(InvalidError, match="room for one"):
        mac_for(SCRIPTS, Interface(addresses=("10.0.0.1/8", "10.0.0.2/8")), b"")
