"""Clones through the service: what they share with their source, what not, and cut short."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ims_core import (
    Carrier,
    ConflictError,
    Context,
    File,
    HypervisorError,
    Ims,
    Interface,
    NotFoundError,
    NotOursError,
    State,
    UnavailableError,
)
from ims_core.store import Outcome
from tests.bootparams.contexts import HOST_KEY
from tests.fake.pools import SIZE, TEMPLATE, add_foreign, add_network, contents
from tests.fake.test_recovery import killed, last, reserved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.store import Intent

    Connect = Callable[..., Ims]

MEMORY = 96 << 20


def intent(ims: Ims, name: str) -> Intent:
    session = ims.session()
    return session.intent_of(session.find(name))


def description(pool: Path, uuid: str) -> dict[str, str]:
    values: dict[str, str] = json.loads((pool / "domains" / f"{uuid}.json").read_text())
    return values


def test_a_clone_is_told_what_its_source_is_as_somebody_else(connect: Connect, pool: Path) -> None:
    ims = connect()
    context = Context(
        hostname="web01.example.org",
        interfaces=(
            Interface(addresses=("192.0.2.50",)),
            Interface(addresses=("192.0.2.51",), nameservers=("192.0.2.3",)),
        ),
        properties={"role": "db"},
        secrets={"token": "hunter2"},
        files=(File("/etc/motd", b"hello"),),
        host_keys=(HOST_KEY,),
    )
    source = ims.create_vm("web01", memory=MEMORY, vcpus=3, context=context, wait="defined")
    disk = pool / "volumes" / description(pool, source.uuid)["volume"]
    disk.write_bytes(b"\x77" * SIZE)
    before = contents(pool)
    clone = ims.clone_vm("web01", "web02", wait="ready")
    assert clone.uuid != source.uuid
    assert (clone.name, clone.pool, clone.state) == ("web02", "fake", State.RUNNING)
    assert (clone.memory, clone.vcpus) == (MEMORY, 3)
    assert clone.mark is not None
    assert clone.receipt is not None
    assert (clone.mark.template, clone.mark.complete) == (TEMPLATE, True)
    assert clone.receipt.nonce == clone.mark.nonce
    theirs, own = intent(ims, "web01").context, intent(ims, "web02").context
    assert (own.instance_id, own.hostname) == (clone.uuid, "web02")
    assert own.host_keys == ()
    assert (own.properties, own.secrets, own.files) == (
        theirs.properties,
        theirs.secrets,
        theirs.files,
    )
    assert [card.addresses for card in own.interfaces] == [(), ()]
    assert own.interfaces[1].nameservers == ("192.0.2.3",)
    assert not {card.mac for card in own.interfaces} & {card.mac for card in theirs.interfaces}
    copy = pool / "volumes" / description(pool, clone.uuid)["volume"]
    assert copy.read_bytes() == disk.read_bytes()
    assert {name: contents(pool)[name] for name in before} == before, "the source was changed"
    assert [each.kind for each in ims.list_operations()] == ["create-vm", "clone-vm"]
    ims.delete_vm("web01")
    ims.stop_vm("web02")
    ims.start_vm("web02", wait="ready")


def test_a_clone_is_given_the_addresses_that_were_asked_for(connect: Connect) -> None:
    ims = connect()
    context = Context(interfaces=(Interface(addresses=("192.0.2.50",)), Interface()))
    ims.create_vm("web01", context=context, wait="defined")
    clone = ims.clone_vm("web01", "web02", addresses=["192.0.2.60"], wait="ready")
    cards = intent(ims, "web02").context.interfaces
    assert [card.addresses for card in cards] == [("192.0.2.60/24",), ()]
    assert cards[0].gateways == ("192.0.2.1",)
    assert "192.0.2.60/24" in {each.address for each in clone.addresses}
    assert clone.mark is not None
    assert clone.mark.addresses == "fake=192.0.2.60"
    with pytest.raises(ConflictError) as caught:
        ims.clone_vm("web01", "web03", addresses=["192.0.2.50"])
    assert caught.value.code == "address-taken"


def test_a_clone_is_given_an_address_out_of_a_range(connect: Connect, own_state: Path) -> None:
    connect()
    add_network(own_state, last=9)
    with Ims() as ims:
        ims.create_vm("web01", wait="defined")
        clone = ims.clone_vm("web01")
        assert clone.mark is not None
        assert clone.mark.addresses == "fake=192.0.2.9"
        assert reserved(own_state) == {"192.0.2.8", "192.0.2.9"}


@pytest.mark.parametrize(
    ("layout", "carrier"),
    [("opennebula", Carrier.ISO), ("bootparams", Carrier.GUEST_PROPERTIES)],
)
def test_a_clone_has_the_layout_and_the_carrier_of_its_source(
    connect: Connect, layout: str, carrier: Carrier
) -> None:
    ims = connect()
    ims.create_vm("web01", carrier=carrier, layout=layout, wait="defined")
    ims.clone_vm("web01", "web02", wait="ready")
    found = intent(ims, "web02")
    assert (found.layout, found.carrier) == (layout, carrier)


@pytest.mark.parametrize(
    ("verb", "code"), [("start_vm", "vm-running"), ("suspend_vm", "vm-suspended")]
)
def test_a_source_that_is_not_off_is_refused(
    connect: Connect, pool: Path, verb: str, code: str
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined" if verb == "start_vm" else "running")
    getattr(ims, verb)("web01")
    before = contents(pool)
    with pytest.raises(ConflictError) as caught:
        ims.clone_vm("web01", "web02")
    assert caught.value.code == code
    assert contents(pool) == before
    assert last(ims) is Outcome.FAILED


def test_a_source_is_held_until_its_clone_is_there(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    whole, busy = ims.session().provider.write_mark, []

    def mark_complete(vm: str, mark: object) -> None:
        with pytest.raises(ConflictError) as caught, Ims() as other:
            other.session().hold(ims.show_vm("web01").uuid, "web01", seconds=0).__enter__()
        busy.append(caught.value.code)
        whole(vm, mark)  # type: ignore[arg-type]

    monkeypatch.setattr(ims.session().provider, "write_mark", mark_complete)
    ims.clone_vm("web01", "web02")
    assert busy == ["vm-busy"]


def test_a_source_whose_context_or_template_nobody_knows_is_refused(
    connect: Connect, pool: Path, own_state: Path
) -> None:
    add_foreign(pool, "theirs", state="off")
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before = contents(pool)
    with Ims(state=own_state / "another") as other:
        with pytest.raises(NotFoundError) as caught:
            other.clone_vm("web01")
        assert caught.value.code == "context-not-found"
    with pytest.raises(NotOursError):
        ims.clone_vm("theirs")
    for manifest in (pool / "templates").glob("*.json"):
        manifest.unlink()
    with pytest.raises(NotFoundError, match="its template 'tiny' is gone") as caught:
        ims.clone_vm("web01")
    assert caught.value.code == "template-not-found"
    assert [each.kind for each in ims.list_operations()] == ["create-vm"]
    assert set(contents(pool)) < set(before)


def test_a_source_that_was_not_made_from_a_template_is_refused(connect: Connect) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    assert vm.mark is not None
    bare = type(vm.mark)(vm.mark.store, vm.mark.operation, vm.uuid, complete=True)
    ims.session().provider.write_mark(vm.uuid, bare)
    with pytest.raises(NotFoundError, match="not made from a template"):
        ims.clone_vm("web01")


def test_a_source_that_is_still_being_created_is_refused(connect: Connect) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    assert vm.mark is not None
    half = type(vm.mark)(vm.mark.store, vm.mark.operation, vm.uuid, template=TEMPLATE)
    ims.session().provider.write_mark(vm.uuid, half)
    with pytest.raises(ConflictError) as caught:
        ims.clone_vm("web01")
    assert caught.value.code == "vm-busy"


def test_a_name_that_is_taken_is_refused(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before = contents(pool)
    with pytest.raises(ConflictError) as caught:
        ims.clone_vm("web01", "web01")
    assert caught.value.code == "vm-exists"
    assert contents(pool) == before


@pytest.mark.parametrize(
    "step", ["clone.volume", "create.seed", "create.domain", "start", "write-mark"]
)
def test_a_clone_that_fails_leaves_the_pool_byte_for_byte(
    connect: Connect, pool: Path, step: str
) -> None:
    connect().create_vm("web01", wait="defined")
    before = contents(pool)
    with pytest.raises(HypervisorError, match=step):
        connect(fail=[step]).clone_vm("web01", "web02", wait="ready")
    assert contents(pool) == before


def test_a_clone_whose_hypervisor_went_away_is_looked_for_later(
    connect: Connect, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before = contents(pool)

    def gone(*_: object) -> None:
        raise UnavailableError("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr("ims_fake.FakeProvider.start", gone)
        with pytest.raises(UnavailableError):
            ims.clone_vm("web01", "web02")
    assert last(ims) is Outcome.UNFINISHED
    ims.list_vms()
    assert (last(ims), contents(pool)) == (Outcome.FAILED, before)


@pytest.mark.parametrize(
    ("owner", "method", "after"),
    [("provider", "clone", True), ("provider", "start", True), ("pace", "step", False)],
)
def test_a_clone_that_was_killed_before_its_mark_says_complete_is_removed(
    connect: Connect, pool: Path, own_state: Path, owner: str, method: str, *, after: bool
) -> None:
    connect()
    add_network(own_state, last=9)
    with Ims() as ims:
        ims.create_vm("web01", wait="defined")
        before = contents(pool)
        killed("clone_vm('web01', 'web02')", owner, method, after=after)
        assert set(contents(pool)) > set(before)
        assert [vm.name for vm in ims.list_vms()] == ["web01"]
        assert (last(ims), contents(pool)) == (Outcome.FAILED, before)
        assert reserved(own_state) == {"192.0.2.8"}
        assert [each.name for each in ims.session().store.intents("fake")] == ["web01"]


def test_a_clone_that_was_killed_after_that_stays(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    killed("clone_vm('web01', 'web02')", "store", "save_mark")
    assert [vm.name for vm in ims.list_vms()] == ["web01", "web02"]
    assert last(ims) is Outcome.DONE
    ims.stop_vm("web02")
    ims.start_vm("web02", wait="ready")


def test_a_clone_that_is_given_up_is_forgotten(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    killed("clone_vm('web01', 'web02')", "provider", "clone", after=True)
    operation = ims.list_operations()[-1].id
    [ended] = ims.recover([operation], give_up=True)
    assert ended.operation.outcome is Outcome.FAILED
    assert [each.name for each in ims.session().store.intents("fake")] == ["web01"]
    ims.delete_vm("web02")
