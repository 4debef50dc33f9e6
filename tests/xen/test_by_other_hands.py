"""What could go wrong between IMS, other people's commands, and xl's own doings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, HypervisorError
from ims_core.models import Interface, State
from tests.xen.pretended import PretendedXen, delivery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def xen(tmp_path: Path) -> Iterator[PretendedXen]:
    dom0 = PretendedXen(tmp_path)
    dom0.without_store()
    yield dom0
    dom0.check()


def state(xen: PretendedXen) -> State:
    (vm,) = xen.provider.inspect()
    return vm.state


def card(address: str) -> tuple[Interface, ...]:
    return (Interface("xenbr0", "00:16:3e:00:00:09", (address,)),)


@pytest.mark.parametrize("address", ["192.0.2.50", "192.0.2.50/24", "192.0.2.1/24"])
def test_an_address_that_somebody_has_is_refused(xen: PretendedXen, address: str) -> None:
    holder = xen.created("holder", interfaces=card("192.0.2.50/24"))
    other = xen.created("other")
    for refused in (
        lambda: xen.provider.prepare(xen.spec("third", interfaces=card(address))),
        lambda: xen.provider.set_addresses(other.uuid, card(address)),
    ):
        with pytest.raises(ConflictError) as caught:
            refused()
        assert caught.value.code == "address-taken"
    assert xen.provider.set_addresses(holder.uuid, card("192.0.2.50"))[0].addresses
    xen.provider.set_addresses(holder.uuid, (Interface("xenbr0", "00:16:3e:00:00:09"),))
    if not address.startswith("192.0.2.1/"):
        xen.provider.prepare(xen.spec("third", interfaces=card(address)))


def test_memory_that_somebody_restored_by_hand_is_never_resumed_again(xen: PretendedXen) -> None:
    spec = xen.suspended()
    memory = xen.vm() / "memory"
    kept = memory.read_bytes()
    xen.provider.resume(spec.uuid)
    memory.write_bytes(kept)  # as `xl restore` by hand leaves it
    xen.provider.stop(spec.uuid, force=False, timeout=10)
    assert state(xen) is State.STOPPED
    with pytest.raises(ConflictError):
        xen.provider.resume(spec.uuid)
    memory.write_bytes(kept)
    os.utime(memory, (1, 1))  # and the guest powered itself off: its disk is newer
    with pytest.raises(ConflictError) as caught:
        xen.provider.resume(spec.uuid)
    assert caught.value.code == "memory-stale"


def test_the_mark_says_told_only_when_the_guest_was(xen: PretendedXen) -> None:
    spec = xen.started()
    before = xen.provider.inspect()[0].mark
    xen.install(xen.xen / "bin/python3", "#!/bin/sh\necho 'xenstored refused: EQUOTA' >&2; exit 1")
    with pytest.raises(HypervisorError):
        xen.provider.update_context(spec.uuid, delivery())
    assert xen.provider.inspect()[0].mark == before


def test_a_namesake_in_uuid_only_is_nobody_s_to_destroy(xen: PretendedXen) -> None:
    spec = xen.created()
    number = xen.foreign("theirs")
    (xen.xen / f"domains/{number}/uuid").write_text(f"{spec.uuid}\n")
    with pytest.raises(ConflictError) as stopped:
        xen.provider.stop(spec.uuid, force=True, timeout=1)
    with pytest.raises(ConflictError) as deleted:
        xen.provider.delete(spec.uuid)
    assert stopped.value.code == deleted.value.code == "uuid-taken"
    assert [each["name"] for each in xen.domains()] == ["theirs"]
    xen.remove_foreign(number)


def test_a_paused_vm_is_suspended_all_the_same(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.set_letters("--p---")
    xen.provider.suspend(spec.uuid)
    assert state(xen) is State.SUSPENDED


def test_an_earlier_answer_is_none_to_this_start(xen: PretendedXen) -> None:
    spec = xen.started()
    receipt = xen.vm() / "receipt"
    receipt.write_text('/local/domain/1/data/ims/receipt/format = "1"\n')
    xen.provider.stop(spec.uuid, force=True, timeout=1)
    xen.provider.start(spec.uuid, None)
    assert not receipt.exists()
