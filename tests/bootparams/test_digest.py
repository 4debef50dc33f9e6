from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_bootparams.digest import (
    LIST_FILE,
    NONCE_FILE,
    check_media_name,
    digest_of,
    listed,
    names_in,
)
from ims_core.errors import InvalidError
from tests.bootparams.helpers import write_files

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "bootparams.conf": b"IMS_FORMAT='1'\n",
    "files/0000": b"\0\xff",
    "files/0001": b"",
    "files-x": b"sorts between a directory and its files",
    "Upper": b"sorts before lower case",
    "-dash": b"looks like an option",
    "scripts/0000": b"#!/bin/sh\n",
}
PIPELINE = (
    'cd "$1" && find . -type f ! -name ims.nonce | LC_ALL=C sort | xargs sha256sum'
    " | sed 's|  \\./|  |' | sha256sum"
)


def test_a_guest_gets_the_same_digest_from_real_tools(shell: list[str], tmp_path: Path) -> None:
    write_files(tmp_path, FILES | {NONCE_FILE: b"n-1"})
    output = subprocess.check_output([*shell, "-c", PIPELINE, "sh", str(tmp_path)], text=True)
    assert digest_of(FILES) == f"sha256:{output.split()[0]}"


def test_the_digest_is_of_the_lines_that_the_documentation_names() -> None:
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    lines = f"{one}  a\n{two}  b/c\n".encode()
    assert digest_of({"b/c": b"2", "a": b"1"}) == f"sha256:{hashlib.sha256(lines).hexdigest()}"


def test_the_nonce_is_outside_the_digest() -> None:
    assert digest_of(FILES) == digest_of(FILES | {NONCE_FILE: b"anything"})


@given(st.sampled_from(sorted(FILES)), st.binary(min_size=1, max_size=5))
def test_every_changed_byte_gives_another_digest(name: str, extra: bytes) -> None:
    assert digest_of(FILES | {name: FILES[name] + extra}) != digest_of(FILES)


def test_a_renamed_or_missing_file_gives_another_digest() -> None:
    without = {name: content for name, content in FILES.items() if name != "files/0001"}
    assert len({digest_of(FILES), digest_of(without), digest_of(without | {"files/2": b""})}) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b"),
        *("a b", "a\nb", "a'b", "a$b", "é", "a\0", "a\\b", "files/ims.nonce"),
        *("x" * 65, "a/b/c/d/e/f/g/h"),
    ],
)
def test_a_name_that_a_shell_or_a_medium_would_change_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="medium file"):
        digest_of({name: b""})


@pytest.mark.parametrize(
    "name", ["ims.nonce", "user-data", "files/0000", "a.b_c-d/E9", ".x", "..x"]
)
def test_a_plain_name_is_accepted(name: str) -> None:
    check_media_name(name)


def test_the_list_of_a_delivery_names_its_files_and_the_nonces() -> None:
    found = listed(FILES, "n-1")
    assert found.keys() == FILES.keys() | {NONCE_FILE, LIST_FILE}
    assert sorted(names_in(found[LIST_FILE])) == sorted([*FILES, NONCE_FILE])


@given(st.binary())
def test_whatever_a_guest_writes_into_the_list_only_names_of_ours_come_out(listing: bytes) -> None:
    for name in names_in(listing):
        check_media_name(name)


def test_a_list_that_would_lead_elsewhere_leads_nowhere() -> None:
    assert names_in(b"../../etc/passwd\n/etc/passwd\nfiles/../x\nfiles/0000\n\xff\n") == [
        "files/0000"
    ]
