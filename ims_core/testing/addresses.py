"""Static addresses and networks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, InvalidError
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from ims_core.models import Interface
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_static_address_is_completed_and_kept",
    "test_a_static_address_is_given_back",
    "test_a_static_address_outside_its_network_is_refused",
    "test_a_taken_address_is_refused",
    "test_set_addresses_checks_as_prepare_does",
]

OUTSIDE = "203.0.113.77/24"
"""Reserved for documentation (RFC 5737), so no target's network has it."""


def test_a_static_address_is_completed_and_kept(ims_target: Target, ims_bench: Bench) -> None:
    """4. prepare completes static addresses with what the network is known to have.

    Mend: in `prepare`, add the prefix length of the network to a static address that came without
    one: `192.0.2.7` becomes `192.0.2.7/24`. Do not change the address itself.
    """
    order = ims_bench.created(ims_bench.spec(interfaces=[_static(ims_target)]))
    (address,) = order.spec.interfaces[0].addresses
    bare, _, prefix = address.partition("/")
    assert bare == ims_target.static_address, "prepare changed the address"
    assert prefix.isdigit(), f"prepare returned {address} without a prefix length"


def test_a_static_address_outside_its_network_is_refused(
    ims_target: Target, ims_bench: Bench
) -> None:
    """4. prepare refuses what it cannot do: an address outside its network.

    Mend: in `prepare`, compare each static address, with a prefix length or without, with the
    network's subnet. If it is outside, raise `InvalidError` with the address in the message.
    """
    bare = OUTSIDE.partition("/")[0]
    for address in (OUTSIDE, bare):
        outside = replace(_static(ims_target), addresses=(address,))
        with pytest.raises(InvalidError, match=re.escape(bare)):
            ims_target.provider.prepare(ims_bench.spec(interfaces=[outside]))


def test_a_taken_address_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """4. prepare refuses what it cannot do: an address that is taken.

    Mend: in `prepare`, compare each static address with those that the hypervisor's VMs have or
    have reserved, and raise `ConflictError` with the code `address-taken`.
    """
    card = _static(ims_target)
    ims_bench.created(ims_bench.spec(interfaces=[card]))
    with pytest.raises(ConflictError) as caught:
        ims_target.provider.prepare(ims_bench.spec(interfaces=[card]))
    assert caught.value.code == "address-taken", f"the error's code is {caught.value.code!r}"


def test_set_addresses_checks_as_prepare_does(ims_target: Target, ims_bench: Bench) -> None:
    """4. What prepare refuses, set_addresses refuses too, and changes nothing.

    Mend: in `set_addresses`, check by the same code as `prepare`, before you change anything, but
    leave out the addresses that this VM itself has. Return the interfaces as they are completed.
    """
    card = _static(ims_target)
    holder = ims_bench.created(ims_bench.spec(interfaces=[card]))
    other = ims_bench.created()
    before = everything(ims_target)
    wanted = [replace(other.spec.interfaces[0], addresses=(ims_target.static_address,))]
    with pytest.raises(ConflictError) as caught:
        ims_target.provider.set_addresses(other.uuid, wanted)
    assert caught.value.code == "address-taken", f"the error's code is {caught.value.code!r}"
    with pytest.raises(InvalidError):
        ims_target.provider.set_addresses(
            other.uuid, [replace(other.spec.interfaces[0], addresses=(OUTSIDE,))]
        )
    assert everything(ims_target) == before, changes(ims_target, before)
    own = ims_target.provider.set_addresses(holder.uuid, holder.spec.interfaces)
    assert tuple(own) == holder.spec.interfaces, (
        "set_addresses does not return what the VM has already"
    )


def test_a_static_address_is_given_back(ims_target: Target, ims_bench: Bench) -> None:
    """12. What a VM no longer has, another may have: after set_addresses, and after delete.

    Mend: in `set_addresses`, remove the reservations of addresses that the VM no longer has, and in
    `delete`, all of its reservations. In `prepare`, ask for those that are there now.
    """
    card = _static(ims_target)
    first = ims_bench.created(ims_bench.spec(interfaces=[card]))
    dynamic = [
        replace(each, addresses=(), gateways=(), nameservers=()) for each in first.spec.interfaces
    ]
    ims_target.provider.set_addresses(first.uuid, dynamic)
    second = ims_bench.created(ims_bench.spec(interfaces=[card]))
    ims_target.provider.delete(second.uuid)
    ims_target.provider.prepare(ims_bench.spec(interfaces=[card]))


def _static(target: Target) -> Interface:
    if not target.static_address:
        left_out("static_address")
    return replace(target.interfaces[0], addresses=(target.static_address,))
