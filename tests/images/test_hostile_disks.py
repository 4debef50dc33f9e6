"""VMDK, VDI and VHD images made by an attacker: refused, or what QEMU sees, and always quickly."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_core.errors import ImageError
from ims_images import inspect_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Qemu

NOISE = bytes(range(256)) * 4096 + bytes(3 << 20) + b"end" * 1000 + bytes(72)
OPTIONS = {
    "vmdk": ["vmdk"],
    "stream": ["vmdk", "-o", "subformat=streamOptimized"],
    "vdi": ["vdi"],
    "vhd": ["vpc", "-o", "force_size=on"],
    "fixed": ["vpc", "-o", "subformat=fixed,force_size=on"],
}
FORMATS = {"vmdk": "vmdk", "stream": "vmdk", "vdi": "vdi", "vhd": "vhd", "fixed": "vhd"}
VMDK = {
    "version": (4, "<I"),
    "flags": (8, "<I"),
    "capacity": (12, "<Q"),
    "grain": (20, "<Q"),
    "descriptor": (28, "<Q"),
    "descriptor_length": (36, "<Q"),
    "entries": (44, "<I"),
    "second": (48, "<Q"),
    "directory": (56, "<Q"),
    "overhead": (64, "<Q"),
    "dirty": (72, "<B"),
    "line_ends": (73, "<I"),
    "compression": (77, "<H"),
}
VDI = {
    "version": (68, "<I"),
    "kind": (76, "<I"),
    "map": (340, "<I"),
    "data": (344, "<I"),
    "sector": (360, "<I"),
    "size": (368, "<Q"),
    "block": (376, "<I"),
    "extra": (380, "<I"),
    "blocks": (384, "<I"),
    "link": (424, "<Q"),
    "parent": (440, "<Q"),
}
VHD = {
    "version": (12, ">I"),
    "header": (16, ">Q"),
    "size": (48, ">Q"),
    "kind": (60, ">I"),
}
SPARSE = {
    "cookie": (0, ">Q"),
    "table": (16, ">Q"),
    "version": (24, ">I"),
    "entries": (28, ">I"),
    "block": (32, ">I"),
}
FIELDS = {"vmdk": VMDK, "stream": VMDK, "vdi": VDI}

opened: list[str] = []
watching = False


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if watching and event == "open":
        opened.append(str(arguments[0]))


sys.addaudithook(_note)


@pytest.fixture
def only_itself(tmp_path: Path) -> Iterator[Path]:
    """A path, and the proof that nothing else was opened."""
    global watching  # noqa: PLW0603 - an audit hook stays for ever
    path = tmp_path / "disk"
    opened.clear()
    yield path
    watching = False
    assert set(opened) <= {str(path)}


@pytest.fixture(scope="module")
def good(qemu: Qemu) -> dict[str, bytes]:
    """An image of each kind."""
    source = qemu.folder / "noise.raw"
    source.write_bytes(NOISE)
    images = {}
    for kind, options in OPTIONS.items():
        path = qemu.folder / f"good.{kind}"
        qemu.run("qemu-img", "convert", "-f", "raw", "-O", *options, source, path)
        images[kind] = path.read_bytes()
    return images


def changed(image: bytes, fields: dict[str, tuple[int, str]], **values: int) -> bytes:
    data = bytearray(image)
    for name, value in values.items():
        offset, kind = fields[name]
        struct.pack_into(kind, data, offset, value)
    return bytes(data)


def sealed(data: bytes, start: int, length: int, place: int) -> bytes:
    """A VHD's footer or header with the checksum that its bytes have."""
    part = bytearray(data[start : start + length])
    part[place : place + 4] = bytes(4)
    struct.pack_into(">I", part, place, ~sum(part) & 0xFFFFFFFF)
    return data[:start] + bytes(part) + data[start + length :]


def footed(image: bytes, **values: int) -> bytes:
    """A VHD with other values in its footer, and in its copy if it has one."""
    end = len(image) - 512
    footer = sealed(changed(image[end:], VHD, **values), 0, 512, 64)
    start = footer if image.startswith(b"conectix") else image[:512]
    return start + image[512:end] + footer


def headed(image: bytes, **values: int) -> bytes:
    """A VHD with other values in its dynamic header."""
    return image[:512] + sealed(changed(image[512:], SPARSE, **values), 0, 1024, 36)


def described(image: bytes, old: bytes, new: bytes) -> bytes:
    """A VMDK with another descriptor."""
    descriptor = image[512:10752].rstrip(b"\0").replace(old, new, 1).ljust(10240, b"\0")
    return image[:512] + descriptor + image[10752:]


def inspected(path: Path, data: bytes, kind: str) -> Any:
    """What comes of it, an info or an error."""
    global watching  # noqa: PLW0603 - an audit hook stays for ever
    path.write_bytes(data)
    started = time.monotonic()
    watching = True
    try:
        return inspect_image(path, declared=FORMATS[kind])
    except ImageError as error:
        assert error.message.isprintable()  # noqa: PT017 - either outcome is good
        return error
    finally:
        watching = False
        assert time.monotonic() - started < 10


def code_of(path: Path, data: bytes, kind: str) -> str:
    outcome = inspected(path, data, kind)
    assert isinstance(outcome, ImageError), outcome
    return outcome.code


HEADERS = [
    ("vmdk", {"version": 0}, "image-format-unknown"),
    ("vmdk", {"version": 4}, "image-format-unknown"),
    ("vmdk", {"flags": 1 << 5}, "image-format-unknown"),
    ("vmdk", {"flags": 3 | 1 << 16}, "image-corrupt"),
    ("vmdk", {"flags": 3 | 1 << 16 | 1 << 17, "compression": 1}, "image-corrupt"),
    ("vmdk", {"compression": 1}, "image-corrupt"),
    ("vmdk", {"capacity": 0}, "image-empty"),
    ("vmdk", {"capacity": 1 << 63}, "image-too-large"),
    ("vmdk", {"capacity": 1 << 30}, "image-corrupt"),
    ("vmdk", {"grain": 0}, "image-corrupt"),
    ("vmdk", {"grain": 100}, "image-corrupt"),
    ("vmdk", {"grain": 1 << 21}, "image-corrupt"),
    ("vmdk", {"descriptor": 0}, "image-corrupt"),
    ("vmdk", {"descriptor": 2}, "image-corrupt"),
    ("vmdk", {"descriptor_length": 0}, "image-corrupt"),
    ("vmdk", {"descriptor_length": 1 << 62}, "image-corrupt"),
    ("vmdk", {"entries": 0}, "image-corrupt"),
    ("vmdk", {"entries": 1 << 31}, "image-corrupt"),
    ("vmdk", {"second": 1 << 60}, "image-truncated"),
    ("vmdk", {"directory": 0}, "image-corrupt"),
    ("vmdk", {"directory": 1 << 60}, "image-truncated"),
    ("vmdk", {"directory": 0xFFFF_FFFF_FFFF_FFFF}, "image-truncated"),
    ("vmdk", {"overhead": 1 << 60}, "image-truncated"),
    ("vmdk", {"dirty": 1}, "image-dirty"),
    ("vmdk", {"line_ends": 0x0A0A200A}, "image-corrupt"),
    ("stream", {"compression": 0}, "image-corrupt"),
    ("stream", {"flags": 1 | 1 << 16}, "image-corrupt"),
    ("vdi", {"version": 0x10000}, "image-format-unknown"),
    ("vdi", {"kind": 0}, "image-corrupt"),
    ("vdi", {"kind": 3}, "image-has-backing-file"),
    ("vdi", {"kind": 4}, "image-has-backing-file"),
    ("vdi", {"kind": 5}, "image-corrupt"),
    ("vdi", {"link": 1}, "image-has-backing-file"),
    ("vdi", {"parent": 1}, "image-has-backing-file"),
    ("vdi", {"map": 0}, "image-corrupt"),
    ("vdi", {"map": 513}, "image-corrupt"),
    ("vdi", {"map": 0xFFFF_FE00}, "image-truncated"),
    ("vdi", {"data": 0}, "image-corrupt"),
    ("vdi", {"data": 1025}, "image-corrupt"),
    ("vdi", {"data": 0xFFFF_FE00}, "image-truncated"),
    ("vdi", {"sector": 4096}, "image-corrupt"),
    ("vdi", {"size": 0}, "image-empty"),
    ("vdi", {"size": 513}, "image-size-unaligned"),
    ("vdi", {"size": 1 << 63}, "image-too-large"),
    ("vdi", {"size": 1 << 40, "blocks": 1 << 20}, "image-truncated"),
    ("vdi", {"block": 0}, "image-corrupt"),
    ("vdi", {"block": 1 << 31}, "image-corrupt"),
    ("vdi", {"extra": 512}, "image-corrupt"),
    ("vdi", {"blocks": 0}, "image-corrupt"),
    ("vdi", {"blocks": 0xFFFF_FFFF}, "image-corrupt"),
]


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    HEADERS,
    ids=[f"{kind}-{'-'.join(f'{k}={v:x}' for k, v in each.items())}" for kind, each, _ in HEADERS],
)
def test_a_header_is_believed_only_as_far_as_it_can_be(
    good: dict[str, bytes], only_itself: Path, kind: str, values: dict[str, int], code: str
) -> None:
    assert code_of(only_itself, changed(good[kind], FIELDS[kind], **values), kind) == code


FOOTERS = [
    ("vhd", {"version": 0x20000}, "image-format-unknown"),
    ("vhd", {"header": 1 << 63}, "image-truncated"),
    ("vhd", {"header": 0}, "image-corrupt"),
    ("vhd", {"size": 0}, "image-empty"),
    ("vhd", {"size": 513}, "image-size-unaligned"),
    ("vhd", {"size": 1 << 40}, "image-corrupt"),
    ("vhd", {"size": 3 << 40}, "image-corrupt"),
    ("vhd", {"size": 1 << 62}, "image-too-large"),
    ("vhd", {"kind": 2}, "image-corrupt"),
    ("vhd", {"kind": 4}, "image-has-backing-file"),
    ("vhd", {"kind": 0}, "image-corrupt"),
    ("fixed", {"kind": 3}, "image-corrupt"),
    ("fixed", {"kind": 4}, "image-has-backing-file"),
    ("fixed", {"size": 512}, "image-corrupt"),
    ("fixed", {"size": 1 << 40}, "image-corrupt"),
]


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    FOOTERS,
    ids=[f"{kind}-{'-'.join(f'{k}={v:x}' for k, v in each.items())}" for kind, each, _ in FOOTERS],
)
def test_so_is_a_footer(
    good: dict[str, bytes], only_itself: Path, kind: str, values: dict[str, int], code: str
) -> None:
    assert code_of(only_itself, footed(good[kind], **values), kind) == code


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"cookie": 0}, "image-corrupt"),
        ({"version": 0}, "image-corrupt"),
        ({"table": 1 << 62}, "image-truncated"),
        ({"entries": 1}, "image-corrupt"),
        ({"entries": 0xFFFF_FFFF}, "image-too-large"),
        ({"entries": 1 << 20}, "image-truncated"),
        ({"block": 0}, "image-corrupt"),
        ({"block": 3 << 20}, "image-corrupt"),
        ({"block": 1 << 31}, "image-truncated"),
    ],
    ids=lambda each: (
        each if isinstance(each, str) else "-".join(f"{k}={v:x}" for k, v in each.items())
    ),
)
def test_so_is_the_header_of_a_dynamic_vhd(
    good: dict[str, bytes], only_itself: Path, values: dict[str, int], code: str
) -> None:
    assert code_of(only_itself, headed(good["vhd"], **values), "vhd") == code


def test_a_vhd_has_checksums_and_one_size(good: dict[str, bytes], only_itself: Path) -> None:
    image = good["vhd"]
    assert code_of(only_itself, image[:40] + b"\1" + image[41:], "vhd") == "image-corrupt"
    header = 512 + 100
    data = image[:header] + b"\1" + image[header + 1 :]
    assert code_of(only_itself, data, "vhd") == "image-corrupt"
    other = footed(image, size=1 << 20)
    assert code_of(only_itself, other[:512] + image[512:], "vhd") == "image-corrupt"
    assert code_of(only_itself, image[:-512], "vhd") == "image-truncated"


def words(data: bytes, start: int, *values: int, kind: str = "<") -> bytes:
    table = struct.pack(f"{kind}{len(values)}I", *values)
    return data[:start] + table + data[start + len(table) :]


def test_each_block_has_a_place_of_its_own_in_the_file(
    good: dict[str, bytes], only_itself: Path
) -> None:
    (start,) = struct.unpack_from("<I", good["vdi"], 340)
    for second, code in ((0, "image-corrupt"), (9999, "image-truncated")):
        assert code_of(only_itself, words(good["vdi"], start, 0, second), "vdi") == code
    (start,) = struct.unpack_from(">Q", good["vhd"], 512 + 16)
    (first,) = struct.unpack_from(">I", good["vhd"], start)
    for second, code in ((first, "image-corrupt"), (0xFFFF_FFFE, "image-truncated")):
        data = words(good["vhd"], start, first, second, kind=">")
        assert code_of(only_itself, data, "vhd") == code
    (directory,) = struct.unpack_from("<Q", good["vmdk"], 56)
    (table,) = struct.unpack_from("<I", good["vmdk"], directory * 512)
    for place in (directory, table):
        data = words(good["vmdk"], place * 512, 0xFFFF_FFFF)
        assert code_of(only_itself, data, "vmdk") == "image-truncated"


def test_a_packed_grain_is_as_long_as_it_can_be(good: dict[str, bytes], only_itself: Path) -> None:
    (directory,) = struct.unpack_from("<Q", good["stream"], 56)
    (table,) = struct.unpack_from("<I", good["stream"], directory * 512)
    (grain,) = struct.unpack_from("<I", good["stream"], table * 512)
    for length, code in ((0, "image-corrupt"), (1 << 30, "image-corrupt")):
        data = words(good["stream"], grain * 512 + 8, length)
        assert code_of(only_itself, data, "stream") == code
    last = words(good["stream"], table * 512, len(good["stream"]) // 512 - 1)
    last = words(last, (len(last) // 512 - 1) * 512 + 8, 60000)
    assert code_of(only_itself, last, "stream") == "image-truncated"


def streamed(image: bytes, *, kind: int = 3, end: int = 0, **values: int) -> bytes:
    """A stream whose directory is only in its footer, as those who cannot seek write it."""
    footer = changed(image[:512], VMDK, **values)
    start = changed(image, VMDK, directory=0xFFFF_FFFF_FFFF_FFFF)
    before = struct.pack("<QII", 1, 0, kind).ljust(512, b"\0")
    return start + before + footer + struct.pack("<QII", 0, 0, end).ljust(512, b"\0")


def test_a_stream_has_its_tables_in_its_footer(
    qemu: Qemu, good: dict[str, bytes], only_itself: Path
) -> None:
    data = good["stream"]
    data += bytes(-len(data) % 512)
    assert inspected(only_itself, streamed(data), "stream").virtual_size == len(NOISE)
    assert qemu.run("qemu-img", "compare", "-f", "vmdk", "-F", "raw", only_itself, "noise.raw")
    for broken, code in (
        (streamed(data, kind=1), "image-truncated"),
        (streamed(data, end=3), "image-truncated"),
        (streamed(data)[:-512], "image-truncated"),
        (streamed(data, directory=0xFFFF_FFFF_FFFF_FFFF), "image-corrupt"),
        (streamed(data, capacity=1 << 20), "image-corrupt"),
        (streamed(data, grain=8), "image-corrupt"),
        (streamed(data, directory=1 << 40), "image-truncated"),
    ):
        assert code_of(only_itself, broken, "stream") == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"parentCID=ffffffff", b"parentCID=12345678", "image-has-backing-file"),
        (b"parentCID=ffffffff", b"#", "image-has-backing-file"),
        (b"version=1", b'parentFileNameHint="/etc/passwd"', "image-has-backing-file"),
        (b"version=1", b'# parentFileNameHint="/etc/passwd"', "image-has-backing-file"),
        (b"monolithicSparse", b"monolithicFlat", "image-has-data-file"),
        (b"monolithicSparse", b"vmfs", "image-has-data-file"),
        (b"monolithicSparse", b"streamOptimized", "image-corrupt"),
        (b"createType", b"create", "image-has-data-file"),
        (b"version=1", b'RW 8192 FLAT "/etc/passwd" 0', "image-has-data-file"),
        (b"RW ", b"# ", "image-has-data-file"),
        (b" SPARSE ", b" FLAT ", "image-corrupt"),
        (b"RW ", b"RW 1", "image-corrupt"),
        (b"version=1", b"CID=1", "image-corrupt"),
        (b"# Disk Desc", b"# Dusk Desc", "image-corrupt"),
    ],
    ids=[
        "another-parent",
        "no-word-of-a-parent",
        "a-parent's-name",
        "a-parent's-name-in-a-comment",
        "flat",
        "vmfs",
        "stream-that-is-none",
        "no-type",
        "another-extent",
        "no-extent",
        "flat-extent",
        "other-size",
        "said-twice",
        "no-descriptor",
    ],
)
def test_a_vmdk_names_no_other_file(
    good: dict[str, bytes], only_itself: Path, old: bytes, new: bytes, code: str
) -> None:
    image = good["vmdk"]
    assert old in image[512:10752]
    assert code_of(only_itself, described(image, old, new), "vmdk") == code


def test_a_name_that_qemu_would_find_behind_the_text_is_found(
    good: dict[str, bytes], only_itself: Path
) -> None:
    image = good["vmdk"]
    evil = b'parentFileNameHint="/etc/passwd"'
    data = image[: 10752 - len(evil)] + evil + image[10752:]
    assert code_of(only_itself, data, "vmdk") == "image-has-backing-file"


def test_the_descriptor_is_the_one_that_qemu_reads(
    good: dict[str, bytes], only_itself: Path
) -> None:
    image = good["vmdk"]
    evil = described(image, b"version=1", b'parentFileNameHint="/etc/passwd"')
    place = len(evil) // 512
    data = changed(evil, VMDK, descriptor=place) + image[512:10752]
    assert code_of(only_itself, data, "vmdk") == "image-corrupt"


def test_a_directory_has_a_limit(good: dict[str, bytes], only_itself: Path) -> None:
    capacity = 64 << 31
    size = b"RW %d" % (len(NOISE) // 512)
    data = described(good["vmdk"], size, b"RW %d" % capacity)
    data = changed(data, VMDK, capacity=capacity, grain=8)
    assert code_of(only_itself, data, "vmdk") == "image-too-large"


def test_a_fixed_vhd_has_a_limit(good: dict[str, bytes], only_itself: Path) -> None:
    """Of 2040 GiB, although the file has more."""
    size = (2040 << 30) + 512
    footer = sealed(changed(good["fixed"][-512:], VHD, size=size), 0, 512, 64)
    only_itself.touch()
    try:
        os.truncate(only_itself, size)
    except OSError:
        pytest.skip("this file system has no such large files")
    with only_itself.open("ab") as file:
        file.write(footer)
    with pytest.raises(ImageError, match="more than a VHD can hold"):
        inspect_image(only_itself)


def test_tables_of_an_enormous_disk_take_no_time(only_itself: Path, good: dict[str, bytes]) -> None:
    size = (64 << 40) - (1 << 20)
    huge = changed(good["vdi"][:1024], VDI, size=size, blocks=size >> 20)
    only_itself.write_bytes(huge)
    os.truncate(only_itself, 300 << 20)  # a map of zeros, and so the same block again and again
    started = time.monotonic()
    with pytest.raises(ImageError) as caught:
        inspect_image(only_itself)
    assert caught.value.code == "image-corrupt"
    assert time.monotonic() - started < 5


PLACE = st.tuples(
    st.floats(0, 1),
    st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\1\0\0\0", b"\0\0\0\1", b"\xff" * 8]),
    ),
)


@pytest.mark.parametrize("kind", OPTIONS)
@given(damage=st.tuples(st.lists(PLACE, min_size=1, max_size=3), st.none() | st.floats(0, 1)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_is_accepted_qemu_reads_with_the_same_size(
    qemu: Qemu,
    good: dict[str, bytes],
    only_itself: Path,
    kind: str,
    damage: tuple[list[tuple[float, bytes]], float | None],
) -> None:
    changes, cut = damage
    data = bytearray(good[kind])
    # Nearly all of an image is content; what matters stands in its first sectors, and its last.
    places = [*range(1536), *range(len(data) - 512, len(data))]
    if kind in {"vmdk", "stream"}:
        places += range(0x15 * 512, 128 * 512)
    for where, value in changes:
        place = places[int(where * (len(places) - 1))]
        data[place : place + len(value)] = value
    whole = sealed(bytes(data), len(data) - 512, 512, 64) if kind == "fixed" else bytes(data)
    if kind == "vhd":
        whole = sealed(sealed(whole, 512, 1024, 36), 0, 512, 64)
        whole = whole[:-512] + whole[:512]
    if cut is not None:
        whole = whole[: int(cut * len(whole))]
    outcome = inspected(only_itself, whole, kind)
    if isinstance(outcome, ImageError):
        return
    driver = {"driver": {"vhd": "vpc"}.get(outcome.format, outcome.format), "backing": None}
    if outcome.format == "vhd":
        driver["force_size_calc"] = "current_size"
    described = driver | {"file": {"driver": "file", "filename": str(only_itself)}}
    line = ["qemu-img", "info", "--output=json", f"json:{json.dumps(described)}"]
    assert json.loads(qemu.run(*line))["virtual-size"] == outcome.virtual_size
