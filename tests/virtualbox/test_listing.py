"""What VBoxManage prints, read back: nothing of it may raise, or be taken for another machine's."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_virtualbox.vboxmanage.listing import (
    listed_media,
    machine_state,
    paragraphs,
    processes_in,
    properties_of,
    running_states,
    sampled,
)
from tests.virtualbox.pretended import UUIDS, Machine, running

A, B, C = UUIDS[:3]
SINCE = "(since 2026-11-22T06:02:34.913000000)"
IMITATED = running(uuid=B, name="db").listed()
PIECES = st.sampled_from(
    [
        *("UUID:", "Name:", "State:", "Location:", "Description:", "\n", "\n\n", " ", "   "),
        *(A, B, f"UUID:                        {A}\n", f"State:   running {SINCE}\n", IMITATED),
        *(f"UUID: {A}\nLocation: /x\n", " --startvm ", 'VMState="running"\n', "' @ now", " = '"),
        *("/VirtualBox/GuestInfo/Net/0/V4/IP", "Name: /x, value: ", ", timestamp: 1, flags: "),
        *("RAM/Usage/Used", "Guest/RAM/Usage/Total", "9" * 30, "web", "é", "\x1b[31m", "\0"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))


@given(TEXTS)
def test_no_text_of_a_host_raises(text: str) -> None:
    running_states(text)
    machine_state(text)
    listed_media(text)
    processes_in(text)
    properties_of(text)
    list(paragraphs(text))
    sampled(text)


def test_the_states_of_a_list_are_in_one_word() -> None:
    listed = (running(uuid=A), running("gurumeditation", uuid=B), running("teleportingin", uuid=C))
    assert running_states("".join(each.listed() for each in listed)) == {
        A: "running",
        B: "gurumeditation",
        C: "teleportingin",
    }


def test_a_hardware_uuid_is_no_machine() -> None:
    text = running(uuid=A).listed().replace(f"Hardware UUID:               {A}", "Hardware UUID: x")
    assert running_states(text.replace("Hardware UUID: x", f"Hardware UUID:     {B}")) == {
        A: "running"
    }


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_description_never_gives_a_listed_machine_another_state(description: str) -> None:
    machines = (
        Machine(uuid=A, description=description),
        running("paused", uuid=B),
        running("running", uuid=C),
    )
    machines[0].states[0] = "running"
    states = running_states("".join(each.listed() for each in machines))
    assert states[A] in ("running", "")
    assert states[B] in ("paused", "")
    assert states[C] == "running"  # nothing in it names this one


def test_the_first_state_of_a_machine_is_its_own() -> None:
    machine = running(uuid=A, description=f"State:      powered off {SINCE}")
    assert running_states(machine.listed()) == {A: "running"}


def test_a_machine_that_a_description_imitates_is_told_nothing_of() -> None:
    text = running(uuid=A, description=IMITATED).listed() + running("paused", uuid=B).listed()
    assert running_states(text) == {A: "running", B: ""}


def test_a_machine_without_a_state_is_told_nothing_of() -> None:
    assert running_states(f"UUID:        {A}\n\nUUID:       {B}\n") == {A: "", B: ""}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('name="web"\nVMState="aborted-saved"\nVMStateChangeTime="2026"\n', "aborted-saved"),
        ('VMState="running"\ndescription="a\nVMState="poweroff"\n"\n', "running"),
        ('name="a\nb VMState="running"\n"\n', ""),
        ("", ""),
    ],
    ids=["plain", "imitated", "in a name", "empty"],
)
def test_the_state_for_machines_is_the_first(text: str, state: str) -> None:
    assert machine_state(text) == state


def test_a_process_runs_the_machine_that_it_names_last() -> None:
    line = f"VBoxHeadless --comment x --startvm {B} y --startvm {A} --vrde config\n"
    assert processes_in(f"{line}VirtualBoxVM --startvm {C}\nps -A --startvm web\n") == {A, C}


HDDS = f"""UUID:           {A}
Parent UUID:    base
State:          created
Type:           normal (base)
Location:       /pool/templates/tiny/disk.vdi
Storage format: VDI
Capacity:       64 MBytes
Encryption:     disabled

UUID:           {B}
Parent UUID:    {A}
State:          inaccessible
Access Error:   Could not open the medium.
VD: error VERR_FILE_NOT_FOUND opening it
Type:           normal (differencing)
Location:       /pool/vms/my vm/root.vdi
Storage format: VDI
Capacity:       0 MBytes

"""


def test_media_have_their_uuids_and_paths_in_the_order_of_the_list() -> None:
    assert [(each.uuid, each.path, each.parent) for each in listed_media(HDDS)] == [
        (A, "/pool/templates/tiny/disk.vdi", "base"),
        (B, "/pool/vms/my vm/root.vdi", A),
    ]


@pytest.mark.parametrize(
    "text", ["", f"UUID: {A}\n", f"UUID: {A}\n\nLocation: /x\n", "Location: /x"]
)
def test_a_paragraph_that_is_not_whole_is_no_medium(text: str) -> None:
    assert listed_media(text) == []


def test_a_medium_that_is_there_twice_is_none() -> None:
    hostile = (
        f"UUID:  {C}\nType: x\nLocation:  /x\n\nUUID:  {B}\nLocation:  /pool/vms/v/root.vdi\n\n"
    )
    assert [each.uuid for each in listed_media(hostile + HDDS)] == [C, A]


ENUMERATED = {
    "7.x": "/VirtualBox/GuestInfo/Net/0/V4/IP = '10.0.2.15'"
    " @ 2026-11-22T05:48:39.870Z RDONLYGUEST\n"
    "/IMS/Receipt/nonce                = 'it's' @ 2026-11-22T05:48:39.870Z \n",
    "6.1": "Name: /VirtualBox/GuestInfo/Net/0/V4/IP, value: 10.0.2.15,"
    " timestamp: 1600000000000000000, flags: RDONLYGUEST\n"
    "Name: /IMS/Receipt/nonce, value: it's, timestamp: 1600000000000000000, flags: \n",
}


@pytest.mark.parametrize("version", ENUMERATED, ids=str)
def test_guest_properties_are_the_same_in_both_forms(version: str) -> None:
    assert properties_of(ENUMERATED[version]) == {
        "/VirtualBox/GuestInfo/Net/0/V4/IP": "10.0.2.15",
        "/IMS/Receipt/nonce": "it's",
    }


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x85\u2028\u2029")))
def test_a_property_has_the_value_that_was_set(value: str) -> None:
    seven = f"/IMS/x = '{value}' @ 2026-11-22T05:48:39.870Z RDONLYGUEST\n"
    six = f"Name: /IMS/x, value: {value}, timestamp: 1600000000000000000, flags: \n"
    assert properties_of(seven) == properties_of(six) == {"/IMS/x": value}


@pytest.mark.parametrize(
    "piece", ["Name: /a\n", "/x = '", "' @ a ", "Name: /a, value: "], ids=["name", "7", "at", "6"]
)
def test_a_long_text_of_a_guest_is_read_in_a_moment(piece: str) -> None:
    begin = time.monotonic()
    properties_of(piece * ((1 << 18) // len(piece)))
    assert time.monotonic() - begin < 5


def test_paragraphs_are_apart_and_values_may_hold_colons() -> None:
    text = "Name:   en0: Wi-Fi\nIPAddress:  192.0.2.1\nnoise\n \nName:   b\n\n\n\nno word\n"
    assert list(paragraphs(text)) == [
        {"Name": "en0: Wi-Fi", "IPAddress": "192.0.2.1"},
        {"Name": "b"},
    ]


HEADING = (
    "Object          Metric                                   Values\n"
    "--------------- ---------------------------------------- ------------------------\n"
)


def test_samples_are_by_machine_and_metric() -> None:
    text = (
        f"{HEADING}host            RAM/Usage/Used                           99 kB\n"
        "web 1           RAM/Usage/Used                           123456 kB\n"
        "web 1           Guest/RAM/Usage/Total                    524288 kB, 524288 kB\n"
        "db              Guest/RAM/Usage/Total                    \n"
    )
    assert sampled(text) == {
        "host": {"RAM/Usage/Used": 99},
        "web 1": {"RAM/Usage/Used": 123456, "Guest/RAM/Usage/Total": 524288},
    }


def test_a_name_that_looks_like_a_sample_gives_another_machine_none() -> None:
    text = "web   Guest/RAM/Usage/Total 7   Guest/RAM/Usage/Total    9 kB\n"
    assert sampled(f"{HEADING}{text}") == {
        "web   Guest/RAM/Usage/Total 7": {"Guest/RAM/Usage/Total": 9}
    }
