"""Looking at machines in states, and with texts, that no lab can provoke."""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.models import VM, Address, Mark, State
from ims_virtualbox.vboxmanage.states import OFF, SAVED
from tests.virtualbox.pretended import (
    MAC,
    OPERATION,
    UUIDS,
    Machine,
    PretendedHost,
    running,
    settings_file,
)
from tests.virtualbox.test_states import KNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

A, B, C = UUIDS[:3]
HELD = {short: state for short, _, state in KNOWN.values() if short not in {*OFF, *SAVED}}
GONE = f"VBoxManage: error: Could not find a registered machine with UUID {{{A}}}\n"


def marked(uuid: str, nonce: str = "n1") -> Mapping[str, str]:
    mark = Mark("store", OPERATION, uuid, complete=True, nonce=nonce)
    return {"IMS/mark": json.dumps(asdict(mark))}


def seen(host: PretendedHost, uuid: str = A) -> VM:
    (found,) = (each for each in host.provider().inspect(evidence=True) if each.uuid == uuid)
    return found


# --- states ---


@pytest.mark.parametrize("word", HELD, ids=str)
def test_a_process_runs_a_machine_in_every_state(word: str) -> None:
    machine = running(word)
    assert seen(PretendedHost(machine)).state is HELD[word]


@pytest.mark.parametrize("word", ["frozen", "unknown", "", "a b"])
def test_a_state_that_nobody_knows_is_unknown(word: str) -> None:
    assert seen(PretendedHost(running(word))).state is State.UNKNOWN


def test_a_machine_that_the_list_does_not_have_yet_is_asked_for_by_itself() -> None:
    host = PretendedHost(running("starting"))
    host.machines[0].listed = lambda: ""  # type: ignore[method-assign]
    assert seen(host).state is State.STARTING
    assert host.asked == [("showvminfo", A, "--machinereadable")]


def test_a_machine_that_never_ran_is_defined() -> None:
    assert seen(PretendedHost(Machine(ran=False))).state is State.DEFINED
    assert seen(PretendedHost(Machine(ran=True))).state is State.STOPPED


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ('aborted="true"', State.CRASHED),
        ('stateFile="x"', State.SUSPENDED),
        ('aborted="true" stateFile="x"', State.SUSPENDED),
    ],
    ids=["aborted", "saved", "aborted-saved"],
)
def test_without_a_process_the_settings_tell_the_state(attributes: str, state: State) -> None:
    content = settings_file(A, "web", attributes=attributes)
    assert seen(PretendedHost(Machine(content=content))).state is state


def test_what_virtualbox_gave_up_on_says_so() -> None:
    assert "guru meditation" in seen(PretendedHost(running("gurumeditation"))).problem


def test_looking_costs_as_many_requests_for_many_machines() -> None:
    counts = []
    for number in (1, 6):
        host = PretendedHost(*(running(uuid=uuid, name=f"n{uuid[0]}") for uuid in UUIDS[:number]))
        assert len(host.provider().inspect(evidence=True)) == number
        counts.append(len(host.ran))
    assert counts[0] == counts[1]


# --- what one machine says of another ---


@pytest.mark.parametrize("claimed", ["running", "paused", "gurumeditation"])
def test_a_description_does_not_make_a_machine_run_that_is_off(claimed: str) -> None:
    description = running(claimed, uuid=B, name="db").listed()
    host = PretendedHost(running(description=description), Machine(uuid=B, name="db"))
    assert seen(host, A).state is State.RUNNING
    assert seen(host, B).state is State.STOPPED


def test_a_description_does_not_hide_a_machine_that_runs() -> None:
    description = f"UUID:         {B}\nState:        powered off (since x)\n"
    host = PretendedHost(running(description=description), running("paused", uuid=B, name="db"))
    assert [each.state for each in host.provider().inspect()] == [State.RUNNING, State.PAUSED]


def test_a_name_that_looks_like_a_process_runs_nothing() -> None:
    host = PretendedHost(running(name=f"x --startvm {B} y"), Machine(uuid=B, name="db"))
    assert seen(host, B).state is State.STOPPED
    assert host.asked == []


def test_a_machine_whose_state_cannot_be_told_does_not_spoil_the_others() -> None:
    host = PretendedHost(running("odd"), running(uuid=B, name="db"))
    host.refusals[f"showvminfo {A}"] = deque(["VBoxManage: error: something broke\n"])
    states = {each.uuid: each.state for each in host.provider().inspect()}
    assert states == {A: State.UNKNOWN, B: State.RUNNING}


def test_a_machine_that_was_removed_meanwhile_is_left_out() -> None:
    host = PretendedHost(running("odd"), running(uuid=B, name="db"))
    host.refusals[f"showvminfo {A}"] = deque([GONE])
    assert [each.uuid for each in host.provider().inspect()] == [B]


def test_settings_that_cannot_be_read_are_a_problem_of_that_machine_alone() -> None:
    host = PretendedHost(Machine(content=b"<x"), Machine(uuid=B, name="db"))
    assert seen(host, A).problem
    assert seen(host, A).mark is None
    assert seen(host, B).problem == ""


def test_settings_of_another_machine_do_not_count() -> None:
    host = PretendedHost(Machine(content=settings_file(B, "db", extra=marked(B))))
    assert (seen(host).name, seen(host).mark) == (A, None)


def test_settings_that_are_just_being_replaced_are_read_again() -> None:
    host = PretendedHost(Machine(content=settings_file(A, "web", extra=marked(A))))
    host.absent = {A}
    mark = seen(host).mark
    assert mark is not None
    assert mark.vm == A


HOSTILE_MARKS = {
    "of another": marked(B)["IMS/mark"],
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "wrong types": '{"store": 1, "operation": [], "vm": "' + A + '"}',
    "long number": "9" * 5000,
}


@pytest.mark.parametrize("kind", HOSTILE_MARKS, ids=str)
def test_a_mark_that_is_none_or_was_copied_does_not_count(kind: str) -> None:
    content = settings_file(A, "web", extra={"IMS/mark": HOSTILE_MARKS[kind]})
    assert seen(PretendedHost(Machine(content=content))).mark is None


# --- receipts ---


def receipt(nonce: str, *, address: str = "") -> bytes:
    digest = "0" * 64
    line = f"address {MAC} {address}\n" if address else ""
    return f"IMS-RECEIPT 1\ndigest sha256:{digest}\nnonce {nonce}\n{line}end\n".encode()


def as_properties(content: bytes) -> str:
    text = base64.b64encode(content).decode()
    chunks = [text[place : place + 100] for place in range(0, len(text), 100)]
    values = {"format": "1", "chunks": str(len(chunks))}
    values |= {f"chunk/{number:04}": chunk for number, chunk in enumerate(chunks)}
    return "".join(
        f"/IMS/Receipt/{key} = '{value}' @ 2026-11-22T05:48:39.870Z\n"
        for key, value in values.items()
    )


WAYS: dict[str, dict[str, Any]] = {
    "serial port": {"sent": receipt("n1")},
    "properties": {"properties": as_properties(receipt("n1"))},
    "an older by the other": {
        "sent": receipt("n0"),
        "properties": as_properties(receipt("n1")),
    },
    "an older by properties": {
        "sent": receipt("n0") + b"noise\n" + receipt("n1"),
        "properties": as_properties(receipt("n0")),
    },
    "half of the next": {"sent": receipt("n1") + b"\n" + receipt("n2")[:60]},
    "noise by properties": {
        "sent": receipt("n1"),
        "properties": "/IMS/Receipt/format = '1' @ x\n/IMS/Receipt/chunks = '9999999' @ x\n",
    },
}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_answer_to_the_newest_start_counts_by_whatever_way(way: str) -> None:
    content = settings_file(A, "web", extra=marked(A, "n1"))
    found = seen(PretendedHost(running(content=content, **WAYS[way]))).receipt
    assert found is not None
    assert found.nonce == "n1"


def test_an_answer_by_properties_is_kept_when_the_machine_is_off() -> None:
    text = base64.b64encode(receipt("n1")).decode()
    values = {"format": "1", "chunks": "1", "chunk/0000": text}
    items = "".join(
        f'<GuestProperty name="/IMS/Receipt/{key}" value="{value}" timestamp="1" flags=""/>'
        for key, value in values.items()
    )
    content = settings_file(A, "web", hardware=f"<GuestProperties>{items}</GuestProperties>")
    found = seen(PretendedHost(Machine(content=content))).receipt
    assert found is not None
    assert found.nonce == "n1"


SAID = st.lists(
    st.sampled_from(
        [
            *(receipt("n1"), receipt("n1")[:40], b"IMS-RECEIPT 1\n", b"end\n", b"\x1b[2J\0", b"\n"),
            *(b"item a failed \x1b]0;x\x07\n", b"address 1 2\n", b"\xff" * 50, b"nonce \n"),
        ]
    ),
    max_size=12,
).map(b"".join)
PROPERTIES = st.lists(
    st.sampled_from(
        [
            *(as_properties(receipt("n1")), "/IMS/Receipt/chunks = '", "' @ x\n", "-1", "²"),
            *("/IMS/Receipt/chunk/0000 = '####' @ x\n", "/IMS/Receipt/format = '1' @ x\n", "\n"),
            *("/VirtualBox/GuestInfo/Net/0/V4/IP = '10.0.2.15' @ x\n", "9" * 5000),
            *(f"/VirtualBox/GuestInfo/Net/0/MAC = '{MAC.replace(':', '')}' @ x\n", "Net/0/V4/IP"),
        ]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.binary(), SAID), st.one_of(st.text(), PROPERTIES))
def test_a_hostile_guest_can_only_answer_or_not(sent: bytes, properties: str) -> None:
    host = PretendedHost(
        running(sent=sent, properties=properties.encode(errors="replace").decode()),
        running(uuid=B, name="db"),
    )
    found = seen(host, A)
    assert found.state is State.RUNNING
    text = repr([found.receipt.items if found.receipt else (), found.addresses])
    assert "\\x1b" not in text
    assert seen(host, B).addresses == ()


# --- addresses ---


def leased(state: str = "acked", issued: object = 999_900, **changed: str) -> bytes:
    words = {"address": "192.168.56.101", "mac": MAC, "expiration": "600"} | changed
    return (
        (
            '<?xml version="1.0"?>\n<Leases version="1.0"><Lease mac="{mac}" network="0.0.0.0"'
            ' state="{state}"><Address value="{address}"/>'
            '<Time issued="{issued}" expiration="{expiration}"/></Lease></Leases>\n'
        )
        .format(state=state, issued=issued, **words)
        .encode()
    )


def with_leases(content: bytes) -> list[Address]:
    host = PretendedHost(running())
    host.leases = content
    return list(seen(host).addresses)


LEASE = Address("192.168.56.101", MAC, "lease")
LAPSED = {
    "expired": leased(issued=999_399),
    "just now": leased(issued=999_400),
    "marked expired": leased("expired"),
    "released": leased("released"),
    "offered": leased("offered"),
    "without a time": leased().replace(b"<Time", b"<Other"),
    "of no time": leased(issued="now"),
    "of a long time": leased(issued="9" * 5000),
    "of another card": leased(mac="08:00:27:00:00:00"),
    "link-local": leased(address="169.254.1.2"),
    "no address": leased(address="&#9;x"),
    "cut": leased()[:-12],
}


def test_a_lease_is_an_address_of_the_card_that_has_it() -> None:
    assert with_leases(leased()) == [LEASE]
    assert with_leases(leased(mac=MAC.upper())) == [LEASE]


@pytest.mark.parametrize("kind", LAPSED, ids=str)
def test_what_is_no_lease_now_is_no_address(kind: str) -> None:
    assert with_leases(LAPSED[kind]) == []


@pytest.mark.parametrize("kind", ["expired", "of no time"], ids=str)
def test_a_lease_that_is_none_does_not_hide_another_network_s(kind: str) -> None:
    assert with_leases(LAPSED[kind] + leased()) == [LEASE]


def test_a_network_without_leases_does_not_hide_another_s() -> None:
    for empty in (b'<Leases version="1.0"/>', b"<Leases/>", b'<?xml version="1.0"?>\n<Leases />'):
        assert with_leases(empty + b"\n" + leased()) == [LEASE]


@given(st.one_of(st.binary(), st.sampled_from([*LAPSED.values()]).map(lambda x: x[:99] + x)))
def test_no_leases_file_raises(content: bytes) -> None:
    with_leases(content)


def told(**values: str) -> str:
    words = {"MAC": MAC.replace(":", "").upper(), **values}
    return "".join(
        f"/VirtualBox/GuestInfo/Net/0/{key.replace('_', '/')} = '{value}' @ 2026-11-22T05:48:39Z\n"
        for key, value in words.items()
    )


AGENT = {
    "with a mask": (told(V4_IP="10.0.2.15", V4_Netmask="255.255.255.0"), "10.0.2.15/24"),
    "without one": (told(V4_IP="10.0.2.15"), "10.0.2.15"),
    "with a wrong one": (told(V4_IP="10.0.2.15", V4_Netmask="255.0.255.0"), "10.0.2.15"),
    "link-local": (told(V4_IP="169.254.1.2", V4_Netmask="255.255.0.0"), ""),
    "of another card": (told(MAC="080027000000", V4_IP="10.0.2.15"), ""),
    "of no card": (told(MAC="0800", V4_IP="10.0.2.15"), ""),
    "a scope of any text": (told(V4_IP="2001:db8::1%\x1b[2J"), ""),
    "no address": (told(V4_IP="$(reboot)"), ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("kind", AGENT, ids=str)
def test_what_guest_additions_tell_is_an_address_if_it_is_one_of_a_card(kind: str) -> None:
    properties, address = AGENT[kind]
    found = seen(PretendedHost(running(properties=properties))).addresses
    assert found == ((Address(address, MAC, "agent"),) if address else ())


def test_each_source_tells_its_own_addresses() -> None:
    host = PretendedHost(
        running(sent=receipt("n1", address="10.0.2.15/24"), properties=told(V4_IP="10.0.2.15"))
    )
    host.leases = leased()
    assert [each.source for each in seen(host).addresses] == ["receipt", "agent", "lease"]


@pytest.mark.parametrize("attributes", ["", 'stateFile="x"'], ids=["off", "saved"])
def test_a_machine_without_a_process_has_no_addresses(attributes: str) -> None:
    content = settings_file(A, "web", attributes=attributes)
    host = PretendedHost(Machine(content=content, sent=receipt("n1", address="10.0.2.15/24")))
    host.leases = leased()
    assert seen(host).addresses == ()
