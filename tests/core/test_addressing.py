"""Free addresses: of the ranges, none that is reserved, and quickly."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice
from time import process_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core import InvalidError
from ims_core.addressing import capacity, free_addresses, host_address
from ims_core.config import Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LAB = Network(
    "lab",
    cidrs=("10.1.2.0/24", "fd00:1::/64"),
    gateways=("10.1.2.1", "fd00:1::1"),
    nameservers=("10.1.2.2", "9.9.9.9"),
    ranges=(("10.1.2.0", "10.1.2.255"), ("fd00:1::", "fd00:1::ffff:ffff:ffff:ffff")),
    excluded=("10.1.2.4", "10.1.2.5-10.1.2.9", "10.1.2.16/28"),
)


def test_the_smallest_free_address_is_the_first() -> None:
    assert list(islice(free_addresses(LAB, 4, ()), 3)) == ["10.1.2.3", "10.1.2.10", "10.1.2.11"]
    assert next(free_addresses(LAB, 4, {"10.1.2.3/24", "10.1.2.10"})) == "10.1.2.11"
    assert list(free_addresses(LAB, 4, ()))[-1] == "10.1.2.254"
    assert list(islice(free_addresses(LAB, 6, ()), 2)) == ["fd00:1::2", "fd00:1::3"]


def test_what_is_taken_is_skipped_in_a_subnet_that_cannot_be_counted_through() -> None:
    taken = [f"fd00:1::{number:x}" for number in range(0x8000)]
    began = process_time()
    assert next(free_addresses(LAB, 6, taken)) == "fd00:1::8000"
    assert process_time() - began < 2


def test_a_taken_address_is_known_in_any_spelling_and_nonsense_is_passed_over() -> None:
    taken = ["FD00:0001::0002/64", "fe80::1%eth0", "", "none", "10.1.2.3/999"]
    assert next(free_addresses(LAB, 6, taken)) == "fd00:1::3"
    assert next(free_addresses(LAB, 4, taken)) == "10.1.2.10"


def test_without_a_range_nothing_is_free() -> None:
    bare = Network("bare", cidrs=("10.0.0.0/8",))
    assert (list(free_addresses(bare, 4, ())), capacity(bare, 4)) == ([], 0)
    four = Network("four", cidrs=("10.0.0.0/8", "fd00::/64"), ranges=(("10.0.0.5", "10.0.0.6"),))
    assert four.versions == (4,)
    assert list(free_addresses(four, 6, ())) == []
    assert LAB.versions == (4, 6)


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
        ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.0/32", ["10.0.0.0"]),
        ("fd00::/126", ["fd00::1", "fd00::2", "fd00::3"]),
        ("fd00::/127", ["fd00::", "fd00::1"]),
        ("fd00::/128", ["fd00::"]),
    ],
)
def test_small_subnets_have_no_reserved_ends(cidr: str, expected: list[str]) -> None:
    subnet = ip_network(cidr)
    network = Network("small", (cidr,), ranges=((str(subnet[0]), str(subnet[-1])),))
    assert list(free_addresses(network, subnet.version, ())) == expected


def test_ranges_that_overlap_or_stand_in_any_order_give_each_address_once() -> None:
    network = Network(
        "n",
        ("10.0.0.0/24",),
        ranges=(("10.0.0.7", "10.0.0.9"), ("10.0.0.3", "10.0.0.7"), ("10.0.0.4", "10.0.0.5")),
    )
    assert list(free_addresses(network, 4, ())) == [f"10.0.0.{each}" for each in range(3, 10)]
    assert capacity(network, 4) == 7


def test_capacity_counts_what_cannot_be_listed() -> None:
    assert capacity(LAB, 6) == 2**64 - 2  # less the routers' anycast address and the gateway
    assert capacity(LAB, 4) == 256 - 2 - 2 - 6 - 16


def test_a_host_address_has_the_prefix_of_its_subnet() -> None:
    assert host_address(LAB, "10.1.2.3") == "10.1.2.3/24"
    assert host_address(LAB, "FD00:1::0:9") == "fd00:1::9/64"
    with pytest.raises(InvalidError, match=r"10\.9\.9\.9 is not in network 'lab'") as caught:
        host_address(LAB, "10.9.9.9")
    assert caught.value.code == "address-outside-network"
    assert "10.1.2.0/24" in caught.value.hint
    with pytest.raises(InvalidError, match="not an address"):
        host_address(LAB, "10.1.2.3/24")


def in_order(pair: tuple[str, str]) -> tuple[str, str]:
    first, last = sorted(pair, key=lambda text: int(ip_address(text)))
    return first, last


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Small networks of either version with any ranges and exclusions in them."""
    cidr = draw(st.sampled_from(["10.0.0.0/26", "fd00::/122", "10.0.0.0/30", "fd00::/127"]))
    subnet = ip_network(cidr)
    addresses = st.integers(0, subnet.num_addresses - 1).map(lambda number: str(subnet[number]))
    spans = st.tuples(addresses, addresses).map(in_order)
    return Network(
        "n",
        (cidr,),
        gateways=tuple(draw(st.lists(addresses, max_size=2))),
        nameservers=tuple(draw(st.lists(addresses, max_size=2))),
        ranges=tuple(draw(st.lists(spans, max_size=4))),
        excluded=tuple(f"{first}-{last}" for first, last in draw(st.lists(spans, max_size=3))),
    )


def numbers(network: Network) -> set[int]:
    """What may be given, found by counting through."""
    subnet = ip_network(network.cidrs[0])
    ends = {int(subnet[0])} | ({int(subnet[-1])} if subnet.version == 4 else set())
    reserved = ends if subnet.num_addresses > 2 else set()
    reserved |= {int(ip_address(each)) for each in (*network.gateways, *network.nameservers)}
    excluded = [each.split("-") for each in network.excluded]
    return counted(network.ranges) - counted(excluded) - reserved


def counted(spans: Iterable[Sequence[str]]) -> set[int]:
    return {
        number
        for first, last in spans
        for number in range(int(ip_address(first)), int(ip_address(last)) + 1)
    }


@given(networks(), st.data())
def test_free_is_what_counting_through_finds(network: Network, data: st.DataObject) -> None:
    version = ip_network(network.cidrs[0]).version
    expected = sorted(numbers(network))
    kind = IPv4Address if version == 4 else IPv6Address
    texts = [str(kind(number)) for number in expected]
    assert capacity(network, version) == len(expected)
    taken = data.draw(st.lists(st.sampled_from(texts)) if texts else st.just([]))
    free = list(free_addresses(network, version, taken))
    assert free == [each for each in texts if each not in taken]
    assert all(host_address(network, each).startswith(f"{each}/") for each in free)
