from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import string
import tarfile
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_bootparams.values import from_values, to_values
from ims_core.errors import InvalidError
from ims_core.models import CarrierLimits
from tests.bootparams.helpers import run
from tests.bootparams.trees import TREES

DOCUMENT = Path(__file__).parents[2] / "docs" / "context-values.md"
LIMITS = CarrierLimits(1 << 26, 128)
FILES = {"bootparams.conf": b"IMS_FORMAT='1'\n", "files/0000": bytes(range(256)) * 9, "e": b""}
XENSTORE = set(string.ascii_letters + string.digits + "-/_@")


@given(TREES)
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    values = to_values(files, "n-1", LIMITS)
    assert from_values(values) == (files, "n-1")
    assert all(set(key) <= XENSTORE for key in values)
    assert all(
        len(value) <= 128 and value.isascii() and value.isprintable() for value in values.values()
    )
    assert list(values)[-1] == "nonce", "a reader takes it for the sign that all is there"


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox ash"])
def test_the_document_s_script_reads_it(tmp_path: Path, shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    found = re.search(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    keys, tree = tmp_path / "keys", tmp_path / "tree"
    tree.mkdir()
    for key, value in to_values(FILES, "n-1", LIMITS).items():
        (keys / key).parent.mkdir(parents=True, exist_ok=True)
        (keys / key).write_text(value)
    script = f"get() {{ cat '{keys}'/\"$1\"; echo; }}\ncd '{tree}'\n{found[1]}"
    run(*words, "-eu", "-c", script)
    assert {
        str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()
    } == FILES


def test_equal_files_give_equal_values() -> None:
    assert to_values(FILES, "n", LIMITS) == to_values(dict(reversed(FILES.items())), "n", LIMITS)


def test_what_is_larger_than_the_carrier_is_refused_by_its_largest_part() -> None:
    noise = {"small": b"x", "large": os.urandom(9000)}
    with pytest.raises(InvalidError, match="this carrier holds 9000") as caught:
        to_values(noise, "n", CarrierLimits(9000, 128))
    assert caught.value.code == "context-too-large"
    assert "large with 9000 bytes" in caught.value.hint


def values_with(archive: bytes) -> dict[str, str]:
    text = b64encode(archive).decode()
    return {"format": "1", "chunks": "1", "chunk/0000": text, "nonce": "n"}


def archive_with(name: str, kind: bytes = tarfile.REGTYPE, count: int = 1) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for _ in range(count):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/shadow"
            tar.addfile(member)
    return gzip.compress(out.getvalue())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"format": "2"},
        {"format": "1"},
        {"format": "1", "chunks": "-1", "nonce": "n"},
        {"format": "1", "chunks": "99999999", "nonce": "n"},
        {"format": "1", "chunks": "1", "nonce": "n"},
        {"format": "1", "chunks": "0", "nonce": "n"},
        {"format": "1", "chunks": "1", "chunk/0000": ""},
        {"format": "1", "chunks": "1", "chunk/0000": "####", "nonce": "n"},
        values_with(b"no gzip"),
        values_with(gzip.compress(b"no tar at all, and some more of it" * 30)),
        values_with(gzip.compress(b"")[:-4]),
        values_with(gzip.compress(bytes(200 << 20))),
        values_with(archive_with("a") + b"more"),
        values_with(archive_with("../a")),
        values_with(archive_with("/a")),
        values_with(archive_with("a b")),
        values_with(archive_with("a", tarfile.SYMTYPE)),
        values_with(archive_with("a", tarfile.LNKTYPE)),
        values_with(archive_with("a", tarfile.CHRTYPE)),
        values_with(archive_with("a", tarfile.DIRTYPE)),
        values_with(archive_with("a", count=2)),
    ],
)
def test_hostile_values_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvalidError):
        from_values(values)


def test_a_lost_chunk_is_noticed() -> None:
    values = dict(to_values({"a": os.urandom(3000)}, "n", LIMITS))
    del values["chunk/0003"]
    with pytest.raises(InvalidError, match="chunk/0003"):
        from_values(values)


@given(st.binary(max_size=300))
def test_any_bytes_in_the_chunk_are_read_or_refused(data: bytes) -> None:
    try:
        from_values(values_with(data))
    except InvalidError:
        return
    assert b64decode(values_with(data)["chunk/0000"]) == data
