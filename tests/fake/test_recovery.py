"""What is decided for an operation whose process was killed, here by ``os._exit`` at a method."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ims_core import ConflictError, HypervisorError, Ims, NotFoundError, State
from ims_core.service import recovery
from ims_core.service.operations import Kind
from ims_core.store import Outcome
from ims_core.store.sqlite import SqliteStore
from tests.fake.pools import SIZE, TEMPLATE, add_foreign, add_network, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core import Event

    Connect = Callable[..., Ims]

KILLED = 9
VICTIM = """
import os, sys
from ims_core import Ims
from ims_core.store.sqlite import SqliteStore
from ims_fake import FakeProvider
from ims_fake.pace import Pace
owner = {{"store": SqliteStore, "provider": FakeProvider, "pace": Pace}}[{owner!r}]
whole = getattr(owner, {method!r})
def last(*arguments, **words):
    if {after}:
        whole(*arguments, **words)
    os._exit({status})
setattr(owner, {method!r}, last)
with Ims() as ims:
    ims.{verb}
"""


def killed(verb: str, owner: str, method: str, *, after: bool = False) -> None:
    """Run a verb in a process that ends at a method."""
    script = VICTIM.format(verb=verb, owner=owner, method=method, after=after, status=KILLED)
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == KILLED


def last(ims: Ims) -> Outcome:
    return ims.list_operations()[-1].outcome


def reserved(own_state: Path) -> set[str]:
    store = SqliteStore(own_state / "state")
    try:
        return {each.address for each in store.reservations()}
    finally:
        store.close()


def import_again(ims: Ims, directory: Path) -> None:
    image = directory / "other.raw"
    image.write_bytes(b"\x66" * SIZE)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    ims.import_template(str(image), TEMPLATE, sha256=digest, layout="bootparams")


@pytest.mark.parametrize(
    ("verb", "method"),
    [
        ("start_vm('web01')", "start"),
        ("set_addresses('web01', ['192.0.2.50'])", "set_addresses"),
    ],
)
def test_what_was_not_reached_is_not_said_to_be(connect: Connect, verb: str, method: str) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    killed(verb, "provider", method)
    ims.list_vms()
    assert last(ims) is Outcome.FAILED


def test_an_adoption_that_was_not_reached_is_not_said_to_be(connect: Connect, pool: Path) -> None:
    add_foreign(pool, "legacy")
    ims = connect()
    killed("adopt_vm('legacy')", "provider", "write_mark")
    assert ims.list_vms() == []
    assert last(ims) is Outcome.FAILED


def test_a_stop_that_was_not_reached_is_not_said_to_be(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    killed("stop_vm('web01')", "provider", "stop")
    assert ims.show_vm("web01").state is State.RUNNING
    assert last(ims) is Outcome.FAILED
    killed("stop_vm('web01')", "provider", "stop", after=True)
    assert ims.show_vm("web01").state is State.STOPPED
    assert last(ims) is Outcome.DONE


def test_another_template_of_the_name_is_not_deleted_for_the_first(
    connect: Connect, own_state: Path
) -> None:
    ims = connect()
    killed(f"delete_template('{TEMPLATE}')", "store", "finish")
    with Ims(state=own_state / "another") as other:
        import_again(other, own_state)
    assert [each.name for each in ims.list_templates()] == [TEMPLATE]
    assert last(ims) is Outcome.DONE


def test_nothing_is_ended_where_it_was_not_begun(
    connect: Connect, own_state: Path, pool: Path
) -> None:
    connect()
    killed("create_vm('web01')", "store", "save_mark")
    elsewhere = connect(directory=str(own_state / "elsewhere"))
    assert elsewhere.list_vms() == []
    [told] = elsewhere.recover()
    assert told.operation.outcome is Outcome.UNFINISHED
    assert "begun at" in told.message
    findings = elsewhere.check(fix=True)
    assert any("elsewhere" in each.message or "begun" in each.message for each in findings)
    home = connect()
    [vm] = home.list_vms()
    assert vm.mark is not None
    assert vm.mark.complete
    assert last(home) is Outcome.DONE
    assert home.show_context("web01").vm == "web01"


def test_check_does_not_forget_vms_that_are_elsewhere(connect: Connect, own_state: Path) -> None:
    connect().create_vm("web01")
    elsewhere = connect(directory=str(own_state / "elsewhere"))
    [finding] = [each for each in elsewhere.check(fix=True) if not each.ok]
    assert "made elsewhere" in finding.message.replace("\n", " ")
    assert connect().show_context("web01").vm == "web01"


def test_a_running_vm_keeps_its_address_however_often_another_is_set(
    connect: Connect, own_state: Path
) -> None:
    connect()
    config = add_network(own_state, last=10)
    broken = own_state / "broken.toml"
    broken.write_text(config.read_text().replace("[networks", 'fail = ["write-mark"]\n[networks'))
    with Ims() as ims:
        ims.create_vm("web01")
        ims.set_addresses("web01", ["192.0.2.50"])
        ims.set_addresses("web01", ["192.0.2.51"])
        assert {"192.0.2.8", "192.0.2.51"} <= reserved(own_state)
        with pytest.raises(ConflictError):
            ims.set_addresses("web01", ["192.0.2.1"])  # the gateway's
        assert {"192.0.2.8", "192.0.2.51"} <= reserved(own_state)
        with Ims(config=broken) as failing, pytest.raises(HypervisorError):
            failing.set_addresses("web01", ["192.0.2.77"])
        assert "192.0.2.77" not in reserved(own_state)
        other = ims.create_vm("web02")
        assert other.mark is not None
        assert other.mark.addresses == "fake=192.0.2.9"
        ims.stop_vm("web01", force=True)
        ims.start_vm("web01")
        assert reserved(own_state) == {"192.0.2.9", "192.0.2.51"}


def test_a_set_ip_that_was_cut_short_reserves_what_is_intended(
    connect: Connect, own_state: Path
) -> None:
    connect()
    add_network(own_state, last=10)
    with Ims() as ims:
        ims.create_vm("web01", wait="defined")
        killed("set_addresses('web01', ['192.0.2.50'])", "provider", "set_addresses")
        ims.recover()
        assert reserved(own_state) == {"192.0.2.8"}
        ims.start_vm("web01")


def test_a_request_that_cannot_be_ended_is_not_waited_for_for_ever(connect: Connect) -> None:
    connect()
    killed("create_vm('web01', request_id='r-1')", "provider", "start")
    ims = connect(fail=["inspect"])
    with pytest.raises(ConflictError) as caught:
        ims.create_vm("web01", request_id="r-1", timeout=5)
    assert caught.value.code == "request-unfinished"


def test_what_cannot_be_ended_keeps_no_verb_from_its_work(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    killed("create_vm('web01')", "provider", "start")

    def odd(*_: object) -> None:
        raise ValueError("a plugin's own defect")

    monkeypatch.setattr("ims_fake.FakeProvider.discard", odd)
    told: list[Event] = []
    ims = connect(progress=told.append)
    ims.create_vm("web02")
    ims.list_vms()
    assert sum("was cut short" in event.message for event in told) == 1, "every verb tried again"
    [ended] = ims.recover()
    assert ended.operation.outcome is Outcome.UNFINISHED
    [given_up] = ims.recover([ended.operation.id], give_up=True)
    assert given_up.operation.outcome is Outcome.FAILED
    assert ims.recover() == []
    ims.delete_vm("web01")


def test_a_process_that_lives_long_ends_what_others_left_meanwhile(
    connect: Connect, pool: Path
) -> None:
    ims = connect()
    before = contents(pool)
    assert ims.list_vms() == []
    killed("create_vm('web01')", "provider", "start")
    assert contents(pool) != before
    assert ims.list_vms() == []
    assert contents(pool) == before
    ims.create_vm("web01")


def test_an_operation_is_recovered_in_its_own_pool_and_an_unknown_one_is_not_found(
    connect: Connect, own_state: Path
) -> None:
    connect(fail=["start"])
    config = own_state / "ims.toml"
    other = f'[pools.first]\nprovider = "fake"\ndirectory = "{own_state / "first"}"\n'
    config.write_text('default_pool = "first"\n' + other + config.read_text())
    with Ims() as ims:
        with pytest.raises(HypervisorError) as caught:
            ims.create_vm("web01", pool="fake", keep_on_failure=True)
        [ended] = ims.recover([caught.value.operation])
        assert ended.operation.outcome is Outcome.FAILED
        assert ims.list_vms(pool="fake") == []
        with pytest.raises(NotFoundError):
            ims.recover(["0123456789abcdef"])


def test_addresses_kept_for_vms_of_another_store_that_are_gone_are_given_back(
    connect: Connect, own_state: Path
) -> None:
    connect()
    add_network(own_state, last=9)
    with Ims() as ims, Ims(state=own_state / "another") as other:
        ims.create_vm("web01")
        other.create_vm("web02")
        ims.delete_vm("web01")
        [finding] = [each for each in other.check() if not each.ok]
        assert "192.0.2.8" in finding.subject
        assert all(each.ok for each in other.check(fix=True))
        third = other.create_vm("web03")
        assert third.mark is not None
        assert third.mark.addresses == "fake=192.0.2.8"


def test_a_card_is_given_an_address_of_each_ip_version(connect: Connect, own_state: Path) -> None:
    connect(network="2001:db8::/64")
    config = own_state / "ims.toml"
    network = (
        '\n[networks.six]\nnetwork = "fake"\ncidr = "2001:db8::/64"\n'
        'range = "2001:db8::10-2001:db8::ffff"\nexcluded = "2001:db8::10"\n'
    )
    config.write_text(config.read_text() + network)
    with Ims() as ims:
        marks = [ims.create_vm(name).mark for name in ("web01", "web02")]
    assert [mark.addresses for mark in marks if mark] == ["fake=2001:db8::11", "fake=2001:db8::12"]


def test_every_kind_of_operation_can_be_ended() -> None:
    kinds = {value for name, value in vars(Kind).items() if name.isupper()}
    assert kinds == set(recovery._ENDS)


@pytest.mark.parametrize("after", [False, True])
def test_a_renewal_that_was_cut_short_is_done(connect: Connect, after: bool) -> None:
    """Which nonce the guest has seen is not known then."""
    ims = connect()
    before = ims.create_vm("web01", wait="ready").mark
    renewal = "session(); from ims_core.service.context import renew; renew(ims.session(), 'web01')"
    killed(renewal, "provider", "update_context", after=after)
    [recovered] = ims.recover()
    assert recovered.operation.outcome is Outcome.DONE
    vm = ims.show_vm("web01")
    assert vm.mark is not None
    assert before is not None
    assert vm.receipt is not None
    assert vm.mark.nonce == vm.receipt.nonce != before.nonce
