"""Showing a VM's context, and telling its guest another, on a fake pool."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_bootparams.layouts.bootparams import CONF_FILE, parse
from ims_core.errors import (
    ConflictError,
    GuestError,
    HypervisorError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from ims_core.models import Carrier, Context, File, HostKey, Script, User
from tests.bootparams.contexts import HASH, HOST_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.service import Ims

    Connect = Callable[..., Ims]

SECRET = "correct horse"  # noqa: S105
CONTEXT = Context(
    users=(User("ada", password_hash=HASH),),
    host_keys=(HOST_KEY,),
    properties={"role": "web"},
    secrets={"password": SECRET},
    files=(File("/etc/token", SECRET.encode()),),
    scripts=(Script("setup", f"#!/bin/sh\n# {SECRET}\n".encode()),),
    user_data=SECRET.encode(),
)


def role(value: str) -> Callable[[Context], Context]:
    return lambda context: replace(context, properties={"role": value})


def told(ims: Ims, name: str) -> dict[str, str]:
    """The properties among what the VM would be told next."""
    values = parse(ims.show_context(name, reveal=True).files[CONF_FILE])
    count = int(values["IMS_PROPERTIES"])
    pairs = ((f"IMS_PROPERTY_{n}_NAME", f"IMS_PROPERTY_{n}_VALUE") for n in range(count))
    return {values[name]: values[value] for name, value in pairs}


@pytest.mark.parametrize("carrier", ["iso", "guest-properties"])
def test_a_running_guest_is_told_and_answers(connect: Connect, carrier: str) -> None:
    ims = connect()
    first = ims.create_vm("web01", context=CONTEXT, carrier=carrier, wait="ready")
    vm = ims.update_context("web01", role("db"))
    assert vm.receipt is not None
    assert vm.mark is not None
    assert first.mark is not None
    assert vm.mark.digest not in ("", first.mark.digest)
    assert not vm.receipt.problem(digest=vm.mark.digest, nonce=vm.mark.nonce)
    shown = ims.show_context("web01")
    assert (shown.digest, shown.carrier) == (vm.mark.digest, carrier)
    assert told(ims, "web01")["role"] == "db"
    assert not ims.show_vm("web01").context_pending
    ims.stop_vm("web01")
    again = ims.start_vm("web01", wait="ready")
    assert again.receipt is not None
    assert again.receipt.digest == shown.digest


def test_a_guest_that_is_off_is_told_at_its_next_start(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    assert ims.update_context("web01", role("db")).context_pending
    assert ims.show_vm("web01").context_pending
    vm = ims.start_vm("web01", wait="ready")
    assert vm.mark is not None
    assert vm.mark.digest == ims.show_context("web01").digest
    assert not ims.show_vm("web01").context_pending


def test_a_reader_that_does_not_watch_is_told_at_its_next_start(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", layout="nocloud")
    assert ims.update_context("web01", role("db")).context_pending


@pytest.mark.parametrize("field", ["interfaces", "instance_id", "default_user"])
def test_what_cannot_be_changed_is_named_and_nothing_is(connect: Connect, field: str) -> None:
    ims = connect()
    ims.create_vm("web01", wait="ready")
    before = ims.show_context("web01").digest
    value: Any = () if field == "interfaces" else "other"
    with pytest.raises(InvalidError, match=f"context.{field}"):
        ims.update_context("web01", lambda context: replace(context, **{field: value}))
    assert ims.show_context("web01").digest == before


@pytest.mark.parametrize("bad", [{"hostname": "-"}, {"properties": {"a": "\0"}}])
def test_a_context_that_cannot_be_right_changes_nothing(
    connect: Connect, bad: dict[str, Any]
) -> None:
    ims = connect()
    ims.create_vm("web01", wait="ready")
    before = ims.show_vm("web01")
    with pytest.raises(InvalidError, match="context"):
        ims.update_context("web01", lambda context: replace(context, **bad))
    assert ims.show_vm("web01") == before


def test_waiting_for_an_answer_that_cannot_come_changes_nothing(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="defined")
    before = ims.show_context("web01").digest
    with pytest.raises(InvalidError) as caught:
        ims.update_context("web01", role("db"), wait="ready")
    assert caught.value.code == "wait-impossible"
    assert ims.show_context("web01").digest == before


def test_a_guest_that_cannot_apply_it_is_an_error_and_the_context_is_kept(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", wait="ready")
    with pytest.raises(GuestError) as caught:
        connect(receipts="failed-item").update_context("web01", role("db"))
    assert caught.value.code == "context-not-applied"
    assert told(connect(), "web01")["role"] == "db"
    assert connect().update_context("web01", lambda context: context).receipt is not None


def test_a_hypervisor_that_fails_leaves_it_to_the_next_start(connect: Connect) -> None:
    connect().create_vm("web01", wait="ready")
    with pytest.raises(HypervisorError) as caught:
        connect(fail=["update-context"]).update_context("web01", role("db"))
    assert "next start" in caught.value.details[-1]
    ims = connect()
    assert ims.show_vm("web01").context_pending
    assert ims.update_context("web01", role("db")).receipt is not None
    assert not ims.show_vm("web01").context_pending


def test_the_context_of_another_store_s_vm_is_not_known(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connect().create_vm("web01")
    monkeypatch.setenv("IMS_STATE", str(tmp_path / "other"))
    with pytest.raises(NotFoundError) as caught:
        connect().show_context("web01")
    assert caught.value.code == "context-not-found"
    with pytest.raises(NotFoundError) as caught:
        connect().update_context("web01", role("db"))
    assert caught.value.code == "context-not-found"


def test_a_shown_context_has_its_digest_and_no_secrets(connect: Connect) -> None:
    ims = connect()
    vm = ims.create_vm("web01", context=CONTEXT, wait="ready")
    shown, revealed = ims.show_context("web01"), ims.show_context("web01", reveal=True)
    assert vm.mark is not None
    assert shown.digest == revealed.digest == vm.mark.digest
    assert (shown.layout, shown.label) == ("bootparams", "IMS")
    assert list(shown.files) == list(revealed.files)
    everything = b"".join(shown.files.values())
    for hidden in (SECRET, HASH, HOST_KEY.private.splitlines()[1]):
        assert hidden.encode() not in everything
        assert hidden.encode() in b"".join(revealed.files.values())
    assert b"'web'" in everything, "what is no secret is there"


def test_a_context_can_be_shown_in_another_layout(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", context=replace(CONTEXT, user_data=None))
    shown = ims.show_context("web01", layout="nocloud")
    assert (shown.layout, shown.label, shown.carrier) == ("nocloud", "cidata", Carrier.ISO)
    assert b"web01" in shown.files["meta-data"]


def test_a_layout_only_goes_by_carriers_that_its_reader_knows(connect: Connect) -> None:
    with pytest.raises(UnsupportedError) as caught:
        connect().create_vm("web01", layout="nocloud", carrier="guest-properties")
    assert caught.value.code == "carrier-impossible"
    assert caught.value.hint.endswith(": iso")


def test_a_context_larger_than_its_carrier_is_refused(connect: Connect) -> None:
    context = Context(files=(File("/a", os.urandom(30_000)),))
    with pytest.raises(InvalidError) as caught:
        connect().create_vm("web01", context=context, carrier="guest-properties")
    assert caught.value.code == "context-too-large"


def test_host_keys_are_told(connect: Connect) -> None:
    other = HostKey("rsa", HOST_KEY.private, f"ssh-rsa AAAA{'x' * 40}")
    connect().create_vm("web01", context=Context(host_keys=(HOST_KEY, other)))
    values = parse(connect().show_context("web01", reveal=True).files[CONF_FILE])
    assert values["IMS_HOST_KEY_1_TYPE"] == "rsa"
    assert values["IMS_HOST_KEY_0_PRIVATE"] == HOST_KEY.private


def test_a_vm_that_is_still_being_created_is_not_told_anything_else(connect: Connect) -> None:
    ims = connect()
    vm = ims.create_vm("web01", wait="ready")
    assert vm.mark is not None
    session = ims.session()
    session.provider.write_mark(vm.uuid, replace(vm.mark, complete=False))
    with pytest.raises(ConflictError) as caught:
        ims.update_context("web01", role("db"))
    assert caught.value.code == "vm-busy"
    session.provider.write_mark(vm.uuid, vm.mark)
    assert ims.update_context("web01", role("db")).receipt is not None


def test_a_change_that_changes_nothing_is_not_pending(connect: Connect) -> None:
    ims = connect()
    ims.create_vm("web01", layout="nocloud", wait="ready")
    assert not ims.update_context("web01", lambda context: context).context_pending
