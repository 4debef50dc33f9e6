"""What a provider refuses, and how."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ims_core.errors import ImsError, InvalidError, NotFoundError, UnsupportedError
from ims_core.models import Carrier, State
from ims_core.spi import ConsoleLog
from ims_core.testing.bench import changes, everything

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_carrier_that_is_not_declared_is_refused",
    "test_a_disk_smaller_than_the_template_is_refused",
    "test_a_name_of_any_allowed_form_is_kept",
    "test_a_template_that_is_not_there_is_refused",
    "test_an_unknown_host_is_refused",
    "test_an_unknown_network_is_refused",
    "test_calls_name_a_vm_by_its_uuid_only",
    "test_verbs_refuse_a_vm_that_does_not_exist",
]

SHORT = 0.2
NAMES = ("7", "ims-kit.A-1.0", "ims-kit-" + "x" * 55)
"""The shortest, one with all that is allowed, and the longest of :mod:`ims_core.names`."""


def test_a_disk_smaller_than_the_template_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """4. prepare refuses what it cannot do, naming the field.

    Mend: in `prepare`, compare `spec.disk` with `spec.template.virtual_size`, and raise
    `InvalidError` with the word "disk" in the message if it is smaller, be it by one sector.
    """
    small = replace(ims_bench.spec(), disk=ims_target.template.virtual_size - 512)
    with pytest.raises(InvalidError, match=r"(?i)disk"):
        ims_target.provider.prepare(small)


def test_an_unknown_network_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """4. prepare refuses what it cannot do: a network that does not exist.

    Mend: in `prepare`, look up the `network` of each card, and if there is none of that name, raise
    `NotFoundError` with the code `network-not-found` and the name in the message.
    """
    cards = [replace(ims_target.interfaces[0], network="ims-kit-no-such-network")]
    with pytest.raises(NotFoundError, match="ims-kit-no-such-network") as caught:
        ims_target.provider.prepare(ims_bench.spec(interfaces=cards))
    assert caught.value.code == "network-not-found", f"the error's code is {caught.value.code!r}"


def test_verbs_refuse_a_vm_that_does_not_exist(ims_target: Target, ims_bench: Bench) -> None:
    """17. A VM is named by its UUID in every call; one that is not there is not found.

    Mend: in `start`, `stop`, `write_mark` and `set_addresses`, look the VM up by its UUID first,
    and raise `NotFoundError` if it is not there. Turn the hypervisor's own "not found" into the
    same error.
    """
    order = ims_bench.order()
    provider, nobody = ims_target.provider, str(uuid4())
    with pytest.raises(NotFoundError):
        provider.start(nobody, order.delivery)
    for force in (False, True):
        with pytest.raises(NotFoundError):
            provider.stop(nobody, force=force, timeout=SHORT)
    with pytest.raises(NotFoundError):
        provider.write_mark(nobody, order.mark)
    with pytest.raises(NotFoundError):
        provider.set_addresses(nobody, order.spec.interfaces)
    if isinstance(provider, ConsoleLog):
        with pytest.raises(NotFoundError):
            provider.console_tail(nobody, 10)


def test_calls_name_a_vm_by_its_uuid_only(ims_target: Target, ims_bench: Bench) -> None:
    """17. A VM is named by its UUID in every call: a name is nobody's UUID.

    Mend: in all methods but `inspect` and `metrics`, look a VM up by its UUID, and by nothing else.
    """
    order, provider = ims_bench.created(), ims_target.provider
    before = everything(ims_target)
    with pytest.raises(ImsError):
        provider.write_mark(order.name, order.mark)
    with pytest.raises(ImsError):
        provider.start(order.name, order.delivery)
    with contextlib.suppress(ImsError):  # it succeeds where there is none
        provider.delete(order.name)
    assert everything(ims_target) == before, changes(ims_target, before)
    assert ims_bench.look(order.uuid).state is State.DEFINED, "the VM is not shown as defined"


def test_an_unknown_host_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """4. prepare refuses what it cannot do: a host that does not exist.

    Mend: in `prepare`, compare `spec.host`, if it is not empty, with the names that `hosts` gives,
    and raise `NotFoundError` with the code `host-not-found` and the name in the message. Where the
    hypervisor chooses the host, raise `UnsupportedError` for every name.
    """
    spec = replace(ims_bench.spec(), host="ims-kit-no-such-host")
    chooses = ims_target.provider.features.chooses_host
    expected, code = (
        (UnsupportedError, "unsupported") if chooses else (NotFoundError, "host-not-found")
    )
    with pytest.raises(expected, match="ims-kit-no-such-host") as caught:
        ims_target.provider.prepare(spec)
    assert caught.value.code == code, f"the error's code is {caught.value.code!r}"


def test_a_template_that_is_not_there_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """7. create raises, and nothing remains when what was announced is discarded.

    Mend: in `create`, look the template up before you make anything, and raise `NotFoundError` with
    the code `template-not-found`. Let `discard` return `ABSENT` for what was announced and never
    made.
    """
    before = everything(ims_target)
    order = ims_bench.order()
    gone = replace(order.spec.template, name="ims-kit-no-such-template", operation="0" * 16)
    order.spec = replace(order.spec, template=gone)
    with pytest.raises(ImsError):
        ims_bench.make(order)
    ims_bench.roll_back(order.undo)
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_carrier_that_is_not_declared_is_refused(ims_target: Target, ims_bench: Bench) -> None:
    """19. What a provider lacks is UnsupportedError, also in create; nothing is made.

    Mend: in `create`, compare `delivery.carrier` with `features.carriers` before you make anything,
    and raise `UnsupportedError` with the code `carrier-impossible`.
    """
    before = everything(ims_target)
    for carrier in set(Carrier) - set(ims_target.provider.features.carriers):
        order = ims_bench.order()
        order.delivery = replace(order.delivery, carrier=carrier)
        with pytest.raises(UnsupportedError) as caught:
            ims_bench.make(order)
        assert caught.value.code == "carrier-impossible", (
            f"carrier {carrier}: the error's code is {caught.value.code!r}"
        )
        ims_bench.roll_back(order.undo)
        assert everything(ims_target) == before, f"carrier {carrier}: {changes(ims_target, before)}"


@pytest.mark.parametrize("name", NAMES, ids=[f"{len(name)} characters" for name in NAMES])
def test_a_name_of_any_allowed_form_is_kept(
    ims_target: Target, ims_bench: Bench, name: str
) -> None:
    """8. A name is refused only if it is taken: every one that IMS allows can be a VM's.

    Mend: use the name as it is: quote it in commands, paths and markup, and do not shorten it,
    change its case or read a name of digits as a number. Where the hypervisor allows less, give it
    another name and keep ours in its metadata.
    """
    before = everything(ims_target)
    order = ims_bench.created(ims_bench.spec(name=name))
    assert ims_bench.look(name).uuid == order.uuid, f"inspect([{name!r}]) answers with another VM"
    assert ims_bench.look(order.uuid).name == name, "the VM got another name than was ordered"
    ims_target.provider.delete(order.uuid)
    assert everything(ims_target) == before, changes(ims_target, before)
