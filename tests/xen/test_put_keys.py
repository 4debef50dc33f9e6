"""put_keys.py against a xenstored that was written from Xen's documents alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ims_xen.scripts import script
from tests.xen.xenstored import Xenstored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BASE = "/local/domain/7/vm-data"
UUID = "11111111-2222-3333-4444-555555555555"
SOCKETS = '("/run/xenstored/socket", "/var/run/xenstored/socket")'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Xenstored]:
    with Xenstored(tmp_path / "socket") as store:
        store.tree["/local/domain/7/vm"] = f"/vm/{UUID}"
        yield store


def put(store: Xenstored, values: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the program as the script does, with the keys in a file."""
    text = script("update")
    start = text.index("<<'END_OF_PYTHON'\n") + len("<<'END_OF_PYTHON'\n")
    program = text[start : text.index("\nEND_OF_PYTHON\n", start)]
    assert SOCKETS in program
    program = program.replace(SOCKETS, f"({str(store.path)!r},)")
    file = store.path.with_name("context.json")
    file.write_text(json.dumps(dict(values)), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-", "7", UUID, str(file)],
        input=program,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_keys_stand_below_vm_data(store: Xenstored) -> None:
    answer = put(store, {"ims/nonce": "n1", "ims/empty": "", "hostname": "büro"})
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert store.below(BASE) == {"ims/nonce": "n1", "ims/empty": "", "hostname": "büro"}
    assert not store.left_open()


@pytest.mark.parametrize("vm", [None, "/vm/99999999-2222-3333-4444-555555555555"])
def test_the_domain_of_another_vm_is_told_nothing(store: Xenstored, vm: str | None) -> None:
    store.tree = {} if vm is None else {"/local/domain/7/vm": vm}
    answer = put(store, {"ims/nonce": "n1"})
    assert answer.returncode == 1
    assert "refused the context" in answer.stderr
    assert not store.below(BASE)
    assert not store.left_open()


def test_what_stood_there_before_is_replaced_as_a_whole(store: Xenstored) -> None:
    put(store, {"ims/file/0001": "old", "ims/nonce": "n1"})
    store.tree[f"{BASE}/theirs"] = "kept"
    put(store, {"ims/nonce": "n2"})
    assert store.below(BASE) == {"ims/nonce": "n2", "theirs": "kept"}


def test_nobody_sees_half_of_it(store: Xenstored) -> None:
    seen: list[set[str]] = []
    put(store, {"ims/a": "1"})
    store.commits.append(lambda: seen.append(set(store.below(BASE))))
    put(store, {"ims/b": "1", "ims/c": "2"})
    assert seen == [{"ims/b", "ims/c"}]


def test_it_is_tried_again_while_others_write(store: Xenstored) -> None:
    store.conflicts = 3
    assert put(store, {"ims/a": "1"}).returncode == 0
    assert store.below(BASE) == {"ims/a": "1"}


def test_it_gives_up_when_others_never_stop(store: Xenstored) -> None:
    store.conflicts = 1000
    answer = put(store, {"ims/a": "1"})
    assert answer.returncode == 1
    assert "busy" in answer.stderr
    assert not store.below(BASE)


@pytest.mark.parametrize("word", ["EQUOTA", "E2BIG"])
@pytest.mark.parametrize("write", [1, 2])
def test_a_refusal_leaves_what_was_there(store: Xenstored, word: str, write: int) -> None:
    put(store, {"ims/a": "old"})
    store.refuse = {store.writes + write: word}
    answer = put(store, {"ims/a": "new", "ims/b": "new"})
    assert answer.returncode == 1
    assert answer.stderr == f"xenstored refused the context: {word}\n"
    assert store.below(BASE) == {"ims/a": "old"}


def test_a_message_that_is_too_long_changes_nothing(store: Xenstored) -> None:
    answer = put(store, {"ims/a": "x" * 5000})
    assert answer.returncode == 1
    assert not store.below(BASE)


def test_the_longest_message_that_is_allowed_arrives(store: Xenstored) -> None:
    value = "x" * (4096 - len(f"{BASE}/ims/a\0"))
    assert put(store, {"ims/a": value}).returncode == 0
    assert store.below(BASE) == {"ims/a": value}


def test_answers_may_come_in_pieces(store: Xenstored) -> None:
    store.piecemeal = True
    assert put(store, {"ims/a": "1"}).returncode == 0
    assert store.below(BASE) == {"ims/a": "1"}
