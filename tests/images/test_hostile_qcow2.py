"""Images made by an attacker: refused, or harmless, and always quickly."""

from __future__ import annotations

import contextlib
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ims_core.errors import ImageError
from ims_images import inspect_image

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Qemu

FIELDS = {
    "version": (4, ">I"),
    "backing_offset": (8, ">Q"),
    "backing_length": (16, ">I"),
    "cluster_bits": (20, ">I"),
    "size": (24, ">Q"),
    "crypt": (32, ">I"),
    "l1_size": (36, ">I"),
    "l1_offset": (40, ">Q"),
    "refcount_offset": (48, ">Q"),
    "refcount_clusters": (56, ">I"),
    "snapshots": (60, ">I"),
    "snapshots_offset": (64, ">Q"),
    "incompatible": (72, ">Q"),
    "autoclear": (88, ">Q"),
    "refcount_order": (96, ">I"),
    "header_length": (100, ">I"),
    "compression": (104, ">B"),
    "extension": (112, ">I"),
    "extension_length": (116, ">I"),
}
L1 = 3 << 16  # where qemu-img puts the L1 table of a small image with 64 KiB clusters
L2 = 4 << 16


@pytest.fixture(scope="module")
def good(qemu: Qemu) -> Path:
    """A version 3 image of 1 MiB with data in it."""
    source, path = qemu.folder / "noise.img", qemu.folder / "good.qcow2"
    source.write_bytes(bytes(range(256)) * 4096)
    qemu.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, path)
    return path


def changed(image: bytes, **fields: int) -> bytes:
    data = bytearray(image)
    for name, value in fields.items():
        offset, kind = FIELDS[name]
        struct.pack_into(kind, data, offset, value)
    return bytes(data)


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    started = time.monotonic()
    with pytest.raises(ImageError) as caught:
        inspect_image(path, declared="qcow2")
    assert time.monotonic() - started < 10
    assert path.name in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"version": 4}, "image-format-unknown"),
        ({"version": 0}, "image-format-unknown"),
        ({"backing_offset": 1}, "image-has-backing-file"),
        ({"backing_offset": 1 << 63, "backing_length": 1 << 31}, "image-has-backing-file"),
        ({"backing_offset": 0x200, "backing_length": 0}, "image-has-backing-file"),
        ({"cluster_bits": 8}, "image-corrupt"),
        ({"cluster_bits": 22}, "image-corrupt"),
        ({"cluster_bits": 0xFFFFFFFF}, "image-corrupt"),
        ({"cluster_bits": 13, "incompatible": 16}, "image-corrupt"),
        ({"size": 0}, "image-empty"),
        ({"size": (1 << 20) - 1}, "image-size-unaligned"),
        ({"size": 1 << 63}, "image-too-large"),
        ({"size": 1 << 30}, "image-corrupt"),
        ({"size": (64 << 40) + 512, "l1_size": 4 << 20}, "image-too-large"),
        ({"crypt": 1}, "image-encrypted"),
        ({"crypt": 2}, "image-encrypted"),
        ({"crypt": 99}, "image-encrypted"),
        ({"l1_size": 0}, "image-corrupt"),
        ({"l1_size": (4 << 20) + 1}, "image-too-large"),
        ({"l1_size": 4 << 20}, "image-truncated"),
        ({"l1_offset": 0}, "image-corrupt"),
        ({"l1_offset": L1 + 8}, "image-corrupt"),
        ({"l1_offset": 1 << 62}, "image-truncated"),
        ({"refcount_clusters": 0}, "image-corrupt"),
        ({"refcount_clusters": 129}, "image-corrupt"),
        ({"refcount_clusters": 128}, "image-truncated"),
        ({"refcount_offset": 1 << 63}, "image-truncated"),
        ({"snapshots": 65537}, "image-corrupt"),
        ({"snapshots": 1}, "image-corrupt"),
        ({"snapshots": 1, "snapshots_offset": 1 << 40}, "image-truncated"),
        ({"snapshots_offset": 1 << 63}, "image-corrupt"),
        ({"snapshots_offset": 512}, "image-corrupt"),
        ({"incompatible": 1}, "image-dirty"),
        ({"incompatible": 2}, "image-corrupt"),
        ({"incompatible": 4}, "image-has-data-file"),
        ({"autoclear": 2}, "image-has-data-file"),
        ({"incompatible": 8}, "image-corrupt"),
        ({"incompatible": 8, "compression": 2}, "image-format-unknown"),
        ({"compression": 1}, "image-corrupt"),
        ({"incompatible": 1 << 5}, "image-format-unknown"),
        ({"incompatible": 1 << 63}, "image-format-unknown"),
        ({"refcount_order": 7}, "image-corrupt"),
        ({"header_length": 103}, "image-corrupt"),
        ({"header_length": 1 << 17}, "image-corrupt"),
        ({"header_length": 0xFFFFFFFF}, "image-corrupt"),
        ({"extension": 0x44415441}, "image-has-data-file"),
        ({"extension": 0x0537BE77}, "image-encrypted"),
        ({"extension_length": 0xFFFFFFFF}, "image-corrupt"),
        ({"extension": 0x23852875, "autoclear": 1}, "image-corrupt"),
    ],
)
def test_a_dangerous_header_is_refused(
    good: Path, tmp_path: Path, fields: dict[str, int], code: str
) -> None:
    assert refused(tmp_path / "bad.qcow2", changed(good.read_bytes(), **fields)) == code


@pytest.mark.parametrize(
    ("place", "entry", "code"),
    [
        (L1, 1 << 63 | 1 << 40, "image-truncated"),
        (L1, L2 + 512, "image-corrupt"),
        (L1, 1 << 60 | L2, "image-corrupt"),
        (L2, 1 << 63 | 1 << 40, "image-truncated"),
        (L2, 1 << 40, "image-truncated"),
        (L2, 1 << 40 | 1, "image-truncated"),
        (L2, L2 + 512, "image-corrupt"),
        (L2, L2 | 1 << 56, "image-corrupt"),
        (L2, L2 | 2, "image-corrupt"),
        (L2, 1 << 62 | 1 << 40, "image-truncated"),
        (L2, (1 << 63) - 1, "image-truncated"),
        (1 << 16, 1 << 40, "image-truncated"),
        (1 << 16, (1 << 16) + 512, "image-corrupt"),
    ],
)
def test_a_table_entry_that_leaves_the_file_is_refused(
    good: Path, tmp_path: Path, place: int, entry: int, code: str
) -> None:
    data = bytearray(good.read_bytes())
    assert data[L1 + 5] == L2 >> 16
    struct.pack_into(">Q", data, place, entry)
    assert refused(tmp_path / "bad.qcow2", bytes(data)) == code


def header(**fields: int) -> bytes:
    """A header with nothing behind it."""
    sound: dict[str, Any] = {
        "version": 3,
        "cluster_bits": 9,
        "size": 1 << 20,
        "refcount_clusters": 1,
        "refcount_offset": 512,
        "refcount_order": 4,
        "header_length": 104,
    }
    return changed(b"QFI\xfb".ljust(512, b"\0"), **(sound | fields))


def assert_quick(path: Path, seconds: float) -> None:
    started = time.process_time()
    with contextlib.suppress(ImageError):
        inspect_image(path)
    assert time.process_time() - started < seconds


def test_an_l1_table_that_names_one_table_four_million_times_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "bad.qcow2"
    entries = 4 << 20
    table = 1024 + entries * 8
    with path.open("wb") as file:
        file.write(header(size=1 << 37, l1_size=entries, l1_offset=1024).ljust(1024, b"\0"))
        file.write(struct.pack(">Q", table) * entries)
        file.write(struct.pack(">Q", 512) * 64)
    started = time.process_time()
    assert inspect_image(path).virtual_size == 1 << 37
    assert time.process_time() - started < 6


def test_snapshots_that_all_name_one_large_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.qcow2"
    entries = 1 << 20
    snapshot = struct.pack(">QIHHIIQII16x", 1024, entries, 0, 0, 0, 0, 0, 0, 16)
    with path.open("wb") as file:
        fields = {"snapshots": 65536, "snapshots_offset": 1024 + entries * 8}
        file.write(header(l1_size=entries, l1_offset=1024, **fields).ljust(1024, b"\0"))
        file.write(bytes(entries * 8))
        file.write(snapshot * 65536)
    assert_quick(path, 6)
    with pytest.raises(ImageError, match="snapshots") as caught:
        inspect_image(path)
    assert caught.value.code == "image-too-large"


def test_tables_beyond_the_budget_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.qcow2"
    entries, cluster = 1024, 2 << 20
    with path.open("wb") as file:
        fields = {"cluster_bits": 21, "refcount_offset": cluster, "l1_offset": 2 * cluster}
        file.write(header(l1_size=entries, **fields))
        file.seek(2 * cluster)
        file.write(b"".join(struct.pack(">Q", (3 + i) * cluster) for i in range(entries)))
        file.truncate((3 + entries) * cluster)
    started = time.process_time()
    with pytest.raises(ImageError) as caught:
        inspect_image(path)
    assert time.process_time() - started < 6
    assert caught.value.code == "image-too-large"


@pytest.mark.parametrize("method", [0, 1])
def test_many_compressed_clusters_in_one_tail_are_quick(tmp_path: Path, method: int) -> None:
    path = tmp_path / "bad.qcow2"
    cluster = 2 << 20
    fields = {
        "cluster_bits": 21,
        "size": 1 << 39,
        "l1_size": 1,
        "l1_offset": 2 * cluster,
        "refcount_offset": cluster,
        "incompatible": 8 * method,
        "compression": method,
        "header_length": 112,
    }
    tail = 4 * cluster
    end = 5 * cluster + 1
    shift = 62 - 13
    with path.open("wb") as file:
        file.write(header(**fields))
        file.seek(2 * cluster)
        file.write(struct.pack(">Q", 3 * cluster))
        file.seek(3 * cluster)
        for offset in range(tail, tail + (cluster >> 3)):
            sectors = -(-end // 512) - offset // 512 - 1
            file.write(struct.pack(">Q", 1 << 62 | sectors << shift | offset))
        file.truncate(end)
    assert_quick(path, 6)


@given(
    start=st.sampled_from([b"QFI\xfb\0\0\0\2", b"QFI\xfb\0\0\0\3", b"QFI\xfb"]),
    data=st.binary(max_size=4096),
)
@settings(deadline=5000)
def test_random_bytes_behind_the_magic_are_refused(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.qcow2"
    path.write_bytes(start + data)
    with pytest.raises(ImageError):
        inspect_image(path)


PLACES = st.one_of(
    st.integers(8, 127),
    st.integers(1 << 16, (1 << 16) + 31),
    st.integers(L1, L1 + 7),
    st.integers(L2, L2 + 127),
)


@given(changes=st.lists(st.tuples(PLACES, st.integers(0, 255)), min_size=1, max_size=3))
@example([(8 + 7, 1)])
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_image_that_is_accepted_opens_in_qemu_and_refers_to_nothing(
    qemu: Qemu, good: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(good.read_bytes())
    for place, value in changes:
        data[place] = value
    path = qemu.folder / "mutated.qcow2"
    path.write_bytes(data)
    try:
        info = inspect_image(path)
    except ImageError:
        return
    judged = qemu.info(path)
    assert judged["virtual-size"] == info.virtual_size
    assert not {"backing-filename", "encrypted"} & judged.keys()
    assert "data-file" not in judged["format-specific"]["data"]
    if any(place >= L2 and place % 8 == 0 and value & 0x40 for place, value in changes):
        return  # plain data that is called compressed: only the digest can tell
    qemu.run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, qemu.folder / "read.img")
