"""What stands in a snapshot's description, and whose snapshot it is."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ims_core.errors import ConflictError
from ims_core.models import Resource
from ims_core.spi import Discarded
from tests.virtualbox.pretended import (
    OPERATION,
    UUIDS,
    Machine,
    PretendedHost,
    Undo,
    settings_file,
)

A, B = UUIDS[:2]


def snapped(*descriptions: str) -> PretendedHost:
    body = "".join(
        f'<Snapshot uuid="{{{UUIDS[number]}}}" name="s{number}"'
        f' timeStamp="2026-11-22T06:00:0{number}Z">'
        f"<Description>{escape(text)}</Description></Snapshot>"
        for number, text in enumerate(descriptions)
    )
    return PretendedHost(Machine(content=settings_file(A, "web", body=body)))


def note(operation: str) -> str:
    return json.dumps({"ims": {"operation": operation, "digest": "d", "nonce": "n", "ran": True}})


HOSTILE_NOTES = {
    "nothing": "",
    "text": "before the update",
    "a list": "[]",
    "a number": '{"ims": 5}',
    "another field": '{"ims": {"operation": "x", "extra": 1}}',
    "wrong types": '{"ims": {"operation": ["x"]}}',
    "a word for truth": '{"ims": {"operation": "x", "ran": "no"}}',
    "deep": "[" * 100_000,
    "long number": "9" * 5000,
}


@pytest.mark.parametrize("kind", HOSTILE_NOTES, ids=str)
def test_a_snapshot_with_any_description_is_somebody_else_s(kind: str) -> None:
    host = snapped(HOSTILE_NOTES[kind])
    (found,) = host.provider().list_snapshots(A)
    assert (found.name, found.operation) == ("s0", "")
    resource = Resource("snapshot", f"{A}/s0/{OPERATION}", OPERATION)
    assert host.provider().discard(resource) is Discarded.NOT_OURS
    assert host.asked == []


def test_only_the_snapshot_of_that_operation_is_discarded() -> None:
    host = snapped(note(OPERATION), note("f" * 16))
    provider = host.provider()
    for name, result in (("s1", Discarded.NOT_OURS), ("s7", Discarded.ABSENT)):
        assert (
            provider.discard(Resource("snapshot", f"{A}/{name}/{OPERATION}", OPERATION)) is result
        )
    assert host.asked == []
    resource = Resource("snapshot", f"{A}/s0/{OPERATION}", OPERATION)
    assert provider.discard(resource) is Discarded.REMOVED
    assert host.asked == [("snapshot", A, "delete", UUIDS[0])]


def test_a_snapshot_of_a_vm_that_is_gone_is_absent() -> None:
    resource = Resource("snapshot", f"{B}/s0/{OPERATION}", OPERATION)
    assert snapped().provider().discard(resource) is Discarded.ABSENT


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=40))
def test_a_snapshot_is_taken_under_its_name_and_known_again(name: str) -> None:
    assume(name != "s0")
    host, undo = snapped(note(OPERATION)), Undo()
    host.provider().take_snapshot(A, name, undo)
    ((_, _, _, taken, _, description),) = host.asked
    assert taken == name
    assert undo.announced == [("snapshot", f"{A}/{name}/{OPERATION}")]
    (found,) = snapped(description).provider().list_snapshots(A)
    assert found.operation == OPERATION


def test_a_name_that_is_taken_makes_no_snapshot() -> None:
    host, undo = snapped(""), Undo()
    with pytest.raises(ConflictError) as caught:
        host.provider().take_snapshot(A, "s0", undo)
    assert caught.value.code == "snapshot-exists"
    assert (host.asked, undo.announced) == ([], [])


@pytest.mark.parametrize("state", ["running", "paused", "gurumeditation", "odd"])
def test_a_machine_that_a_process_has_does_not_go_back(state: str) -> None:
    host = snapped(note(OPERATION))
    host.machines[0].states[0] = state
    with pytest.raises(ConflictError) as caught:
        host.provider().restore_snapshot(A, "s0")
    assert caught.value.code == "vm-running"
    assert [each for each in host.asked if each[0] == "snapshot"] == []
