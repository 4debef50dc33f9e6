"""The verbs of ``Ims`` on a fake pool."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import (
    CancelledError,
    ConflictError,
    DeadlineError,
    HypervisorError,
    InvalidError,
    NotFoundError,
    NotOursError,
    UnsupportedError,
)
from ims_core.models import Context, File, Interface, Script, State, User
from ims_core.service import Event, Phase
from ims_core.spi import Discarded
from tests.fake.pools import add_foreign, contents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.models import VM
    from ims_core.service import Ims

    Connect = Callable[..., Ims]


def by_source(vm: VM) -> dict[str, str]:
    return {address.source: address.address for address in vm.addresses}


def static(address: str) -> Context:
    return Context(interfaces=(Interface(addresses=(address,)),))


def test_a_vm_lives_and_leaves_nothing(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    ims = connect()
    vm = ims.create_vm(provider="fake", wait="ready")
    assert vm.state is State.RUNNING
    assert by_source(ims.show_vm(vm.name)) == {"lease": "192.0.2.2/24", "receipt": "192.0.2.2/24"}
    (metrics,) = ims.metrics()
    assert metrics.memory_max_bytes == vm.memory
    ims.stop_vm(vm.name)
    assert ims.metrics() == []
    assert ims.show_vm(vm.name).addresses == ()
    again = ims.start_vm(vm.name, wait="ready")
    assert again.mark is not None
    assert vm.mark is not None
    assert again.mark.nonce != vm.mark.nonce
    assert again.mark.digest == vm.mark.digest
    assert by_source(ims.show_vm(vm.name))["lease"] == "192.0.2.2/24", "it keeps its address"
    assert ims.console_tail(vm.name)[0] == f"{vm.name}: booting a fake guest"
    ims.delete_vm(vm.name)
    assert contents(pool) == before
    with pytest.raises(NotFoundError):
        ims.delete_vm(vm.name)


def test_a_whole_context_reaches_the_guest(connect: Connect) -> None:
    context = Context(
        hostname="web.example.org",
        users=(User("ada"),),
        files=(File("/etc/motd", b"\x00\xff'\n"),),
        scripts=(Script("hello", b"#!/bin/sh\n"),),
        properties={"quote'": "`$(x)`\n"},
    )
    vm = connect().create_vm("web01", context=context, wait="ready")
    assert vm.receipt is not None
    names = [item.name for item in vm.receipt.items]
    assert {"user ada", "file /etc/motd", "script hello"} <= set(names)


def test_a_pool_s_mac_scheme_puts_the_address_into_the_mac(connect: Connect) -> None:
    ims = connect(mac_scheme="scripts")
    for name, address, begins in (
        ("web01", "192.0.2.9", "02:00:c0:00:02:09"),
        ("web02", "", "0a:"),
    ):
        context = static(address) if address else Context()
        ims.create_vm(name, context=context, wait="ready")
        [told] = [each.mac for each in ims.get_addresses(name) if each.source == "receipt"]
        assert told.startswith(begins)
    given = Interface(mac="52:54:00:00:00:09", addresses=("192.0.2.10",))
    ims.create_vm("web03", context=Context(interfaces=(given,)), wait="ready")
    assert ims.get_addresses("web03")[-1].mac == given.mac
    with pytest.raises(InvalidError, match="needs a gateway"):
        connect(mac_scheme="guide").create_vm("web04", context=static("192.0.2.11"))


def test_a_plan_makes_nothing(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    assert '"name": "web01"' in connect().plan_vm("web01")
    assert contents(pool) == before


def test_another_process_sees_the_same_vms(connect: Connect) -> None:
    ims = connect()
    script = "from ims_core import Ims\nwith Ims() as ims: print(ims.create_vm('web01').uuid)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert [vm.uuid for vm in ims.list_vms()] == [done.stdout.strip()]
    with pytest.raises(ConflictError) as caught:
        ims.create_vm("web01")
    assert caught.value.code == "vm-exists"
    ims.delete_vm("web01")


def test_addresses_of_a_running_vm_are_pending_until_its_next_start(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="ready")
    ims.set_addresses("web01", ["192.0.2.50"])
    shown = ims.show_vm("web01")
    assert shown.pending == ("192.0.2.50/24",)
    assert by_source(shown)["receipt"] == "192.0.2.2/24", "the guest still has the old one"
    ims.stop_vm("web01")
    ims.start_vm("web01", wait="ready")
    shown = ims.show_vm("web01")
    assert shown.pending == ()
    assert by_source(shown) == {"receipt": "192.0.2.50/24"}
    ims.stop_vm("web01")
    ims.set_addresses("web01", [])
    ims.start_vm("web01", wait="ready")
    assert "lease" in by_source(ims.show_vm("web01"))


def test_an_address_belongs_to_one_vm(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01", context=static("192.0.2.2"), wait="ready")
    ims.create_vm("web02", wait="ready")
    assert by_source(ims.show_vm("web02"))["lease"] == "192.0.2.3/24", ".2 is web01's"
    before = contents(pool)
    for taken in ("192.0.2.2", "192.0.2.3/24", "192.0.2.1"):
        with pytest.raises(ConflictError) as caught:
            ims.create_vm("web03", context=static(taken))
        assert caught.value.code == "address-taken"
    with pytest.raises(ConflictError):
        ims.set_addresses("web02", ["192.0.2.2"])
    twice = Context(interfaces=(Interface(addresses=("192.0.2.9", "192.0.2.9")),))
    with pytest.raises(ConflictError):
        ims.create_vm("web03", context=twice)
    assert contents(pool) == before
    ims.delete_vm("web01")
    ims.set_addresses("web02", ["192.0.2.2"])


@pytest.mark.parametrize(
    "address",
    ["198.51.100.1", "192.0.2.0", "192.0.2.255", "192.0.2.9/25", "192.0.2.300", "2001:db8::1"],
)
def test_an_address_outside_the_network_is_refused(
    connect: Connect, pool: Path, address: str
) -> None:
    before = contents(pool)
    with pytest.raises(InvalidError, match=r"interfaces\[0\]\.addresses\[0\]"):
        connect().create_vm("web01", context=static(address))
    assert contents(pool) == before


def test_a_network_may_be_of_ipv6(connect: Connect) -> None:
    ims = connect(network="2001:db8::/64")
    ims.create_vm("web01", context=static("2001:db8::7"), wait="ready")
    ims.create_vm("web02", wait="ready")
    assert by_source(ims.show_vm("web01")) == {"receipt": "2001:db8::7/64"}
    assert by_source(ims.show_vm("web02"))["lease"] == "2001:db8::2/64"


def test_an_unknown_network_is_refused(connect: Connect) -> None:
    with pytest.raises(NotFoundError) as caught:
        connect().create_vm("web01", context=Context(interfaces=(Interface(network="dmz"),)))
    assert caught.value.code == "network-not-found"


def test_a_broken_vm_is_listed_with_its_problem(connect: Connect, pool: Path) -> None:
    ims = connect()
    ims.create_vm("web01")
    ims.create_vm("web02")
    (volume,) = (pool / "volumes").glob("web01-*")
    volume.unlink()
    broken, sound = ims.list_vms()
    assert broken.problem == f"its volume {volume.name} is missing"
    assert sound.problem == ""
    assert [finding.subject for finding in ims.check() if not finding.ok] == ["VM web01"]
    ims.stop_vm("web01")
    with pytest.raises(ConflictError):
        ims.start_vm("web02")
    with pytest.raises(Exception, match=r"volume .* is missing"):
        ims.start_vm("web01")
    ims.delete_vm("web01")


def test_a_description_that_cannot_be_read_spoils_no_listing(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01")
    for content in (b"", b"{", b"[]", b"{}", b'{"name": "x", "colour": 1}', b"\xff\xfe"):
        (pool / "domains" / "damaged.json").write_bytes(content)
        assert [each.uuid for each in ims.list_vms()] == [vm.uuid]
        damaged, _ = sorted(ims.list_vms(include_foreign=True), key=lambda each: each.name)
        assert damaged.state is State.UNKNOWN
        assert "cannot be read" in damaged.problem


def test_a_state_that_nobody_knows_is_unknown(connect: Connect, pool: Path) -> None:
    add_foreign(pool, "strange", state="melting")
    assert connect().show_vm("strange").state is State.UNKNOWN


def test_no_verb_changes_a_foreign_vm(connect: Connect, pool: Path) -> None:
    add_foreign(pool, "theirs")
    ims = connect()
    before = contents(pool)
    verbs: list[Callable[[], object]] = [
        lambda: ims.start_vm("theirs"),
        lambda: ims.stop_vm("theirs"),
        lambda: ims.stop_vm("theirs", force=True),
        lambda: ims.delete_vm("theirs"),
        lambda: ims.set_addresses("theirs", ["192.0.2.9"]),
        lambda: ims.set_addresses("theirs", []),
        lambda: ims.console_tail("theirs"),
        lambda: ims.metrics(["theirs"]),
    ]
    for verb in verbs:
        with pytest.raises(NotOursError) as caught:
            verb()
        assert caught.value.code == "not-ours"
    with pytest.raises(ConflictError) as conflict:
        ims.create_vm("theirs")
    assert conflict.value.code == "vm-exists"
    assert contents(pool) == before
    assert ims.list_vms() == []
    assert [vm.name for vm in ims.list_vms(include_foreign=True)] == ["theirs"]
    assert ims.metrics() == []


def test_there_is_no_console_to_attach_to(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    with pytest.raises(UnsupportedError, match="console"):
        ims.open_console("web01")


def test_a_template_with_vms_is_kept(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    with pytest.raises(ConflictError) as caught:
        ims.delete_template("tiny")
    assert caught.value.code == "template-in-use"
    ims.delete_vm("web01")
    ims.delete_template("tiny")
    with pytest.raises(InvalidError) as missing:
        connect(template="").create_vm("web01")
    assert missing.value.code == "no-templates"


def test_a_listener_that_cancels_again_and_again_stops_no_rollback(
    connect: Connect, pool: Path
) -> None:
    before = contents(pool)

    def cancelling(event: Event) -> None:
        if event.phase in (Phase.START, Phase.ROLL_BACK):
            raise CancelledError("no more of it")

    ims = connect(progress=cancelling)
    with pytest.raises(CancelledError):
        ims.create_vm("web01")
    assert contents(pool) == before


def test_a_listener_that_fails_when_all_is_done_undoes_nothing(connect: Connect) -> None:
    def failing(event: Event) -> None:
        if event.phase is Phase.DONE:
            raise RuntimeError("no paper in the printer")

    ims = connect(progress=failing)
    assert ims.create_vm("web01").state is State.RUNNING


def test_time_that_is_over_before_the_start_makes_no_vm(connect: Connect, pool: Path) -> None:
    before = contents(pool)
    with pytest.raises(DeadlineError):
        connect().create_vm("web01", timeout=1e-9)
    assert contents(pool) == before


def test_a_name_in_the_form_of_a_uuid_is_refused(connect: Connect) -> None:
    ims = connect()
    vm = ims.create_vm("web01")
    with pytest.raises(InvalidError):
        ims.create_vm(vm.uuid)


def test_what_discard_leaves_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    ims = connect(fail=["start"])
    provider = ims.session().provider
    monkeypatch.setattr(provider, "discard", lambda _resource: Discarded.NOT_OURS)
    with pytest.raises(HypervisorError) as caught:
        ims.create_vm("web01")
    assert any("somebody else's" in line for line in caught.value.details)


def test_threads_change_one_vm_one_after_the_other(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    ims.create_vm("web01")
    provider = ims.session().provider
    running, seen = [0], []
    stop = provider.stop

    def counted(vm: str, *, force: bool, timeout: float) -> None:
        running[0] += 1
        seen.append(running[0])
        stop(vm, force=force, timeout=timeout)
        running[0] -= 1

    monkeypatch.setattr(provider, "stop", counted)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ims.stop_vm("web01"), range(8)))
    assert seen == [1] * 8


def test_an_address_promised_to_a_running_vm_is_given_to_no_other(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01")
    ims.set_addresses("web01", ["192.0.2.40"])
    card = Interface(addresses=("192.0.2.40",))
    with pytest.raises(ConflictError) as caught:
        ims.create_vm("web02", context=Context(interfaces=(card,)))
    assert caught.value.code == "address-taken"


def test_set_ip_keeps_name_servers_and_a_gateway_that_still_fits(connect: Connect) -> None:
    card = Interface(
        addresses=("192.0.2.40/24",),
        gateways=("192.0.2.7",),
        nameservers=("9.9.9.9",),
        search=("corp.example",),
    )
    ims = connect()
    vm = ims.create_vm("web01", context=Context(interfaces=(card,)), wait="defined")
    ims.set_addresses("web01", ["192.0.2.41"])
    intent = ims.session().store.intent(vm.uuid)
    assert intent is not None
    (kept,) = intent.context.interfaces
    assert kept.nameservers == ("9.9.9.9",)
    assert kept.search == ("corp.example",)


def test_the_templates_default_user_is_told_to_the_guest(connect: Connect, pool: Path) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="defined")
    intent = ims.session().store.intent(vm.uuid)
    assert intent is not None
    assert intent.context.default_user == "root", "as the template says"


def test_addresses_that_its_layout_cannot_tell_are_refused_and_the_vm_starts(
    connect: Connect,
) -> None:
    ims = connect()
    cards = tuple(Interface(addresses=(f"192.0.2.{last}/24",)) for last in (30, 31))
    vm = ims.create_vm(
        "web01", layout="opennebula", wait="defined", context=Context(interfaces=cards)
    )
    before = ims.session().store.reservations()
    with pytest.raises(InvalidError, match=r"context\.interfaces\[0\]\.addresses: the layout open"):
        ims.set_addresses("web01", [])
    assert ims.session().store.reservations() == before
    assert ims.start_vm("web01", wait="running").uuid == vm.uuid


def test_a_context_that_its_layout_takes_no_more_is_pending_and_the_vm_can_be_seen(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="ready")

    def refused(*_: object) -> str:
        raise InvalidError("context.files: another release took this")

    monkeypatch.setattr("ims_core.service.lifecycle.digest_for", refused)
    assert ims.show_vm("web01").context_pending
    assert [each.name for each in ims.list_vms()] == ["web01"]
