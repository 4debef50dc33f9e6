"""Conversions by the real qemu-img; and by one that fails, hangs or runs wild."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import (
    CancelledError,
    CapacityError,
    DeadlineError,
    ImageError,
    ImsError,
    UnsupportedError,
)
from ims_images import ImageInfo, _qemu_img, best_format, convert, inspect_image
from tests.images.appliances import DISK, ovf, packed

if TYPE_CHECKING:
    from .conftest import Qemu

CONTENT = b"\xeb\x63" + bytes(range(256)) * 4096 + bytes(7 << 20) + b"end!".ljust(510, b"\0")
SOURCES = {
    "raw": ["raw"],
    "qcow2": ["qcow2"],
    "vmdk": ["vmdk"],
    "stream": ["vmdk", "-o", "subformat=streamOptimized"],
    "vdi": ["vdi"],
    "vhd": ["vpc", "-o", "force_size=on"],
    "vhd-fixed": ["vpc", "-o", "subformat=fixed,force_size=on"],
}
TARGETS = ("qcow2", "raw", "vdi")


@pytest.fixture(scope="module")
def sources(qemu: Qemu) -> dict[str, Path]:
    """The same disk in every format."""
    plain = qemu.folder / "convert.source"
    plain.write_bytes(CONTENT)
    paths = {}
    for name, options in SOURCES.items():
        paths[name] = qemu.folder / f"convert.{name}"
        qemu.run("qemu-img", "convert", "-f", "raw", "-O", *options, plain, paths[name])
    for inside in ("stream", "vmdk", "vdi", "vhd", "raw"):
        paths[f"ova-{inside}"] = qemu.folder / f"convert-{inside}.ova"
        content = paths[inside].read_bytes()
        paths[f"ova-{inside}"].write_bytes(packed({"web.ovf": ovf(), DISK: content}))
    return paths


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is found in the place of qemu-img."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    program = folder / "qemu-img"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    return program


def only(folder: Path, *names: str) -> bool:
    return sorted(each.name for each in folder.iterdir() if each.is_file()) == sorted(names)


def converted(path: Path, target: str = "qcow2") -> ImageInfo:
    return convert(path, inspect_image(path), target, path.parent / "new", timeout=60)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "name", [*SOURCES, "ova-stream", "ova-vmdk", "ova-vdi", "ova-vhd", "ova-raw"]
)
def test_the_disk_is_the_same(
    qemu: Qemu, sources: dict[str, Path], tmp_path: Path, name: str, target: str
) -> None:
    path, new = sources[name], tmp_path / "new"
    seen: list[tuple[int, int | None]] = []
    made = convert(
        path, inspect_image(path), target, new, timeout=60, progress=lambda *each: seen.append(each)
    )
    assert made == inspect_image(new) == ImageInfo(target, new.stat().st_size, len(CONTENT))
    qemu.run("qemu-img", "compare", "-f", "raw", "-F", target, sources["raw"], new)
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert new.stat().st_blocks * 512 < 4 << 20, "its holes are kept"
    assert only(tmp_path, "new")


def test_a_disk_is_as_large_as_its_vhd_says_and_not_as_its_geometry(
    sources: dict[str, Path], tmp_path: Path
) -> None:
    data = bytearray(sources["vhd-fixed"].read_bytes())
    footer = data[-512:]
    footer[28:32] = b"vbox"  # QEMU would take the geometry of it, and lose the end of the disk
    footer[56:60] = b"\0\x64\4\x11"  # 100 cylinders, 4 heads, 17 sectors
    footer[64:68] = bytes(4)
    footer[64:68] = (~sum(footer) & 0xFFFFFFFF).to_bytes(4, "big")
    path = tmp_path / "disk.vhd"
    path.write_bytes(data[:-512] + footer)
    assert converted(path, "raw").virtual_size == len(CONTENT)
    assert (tmp_path / "new").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "name",
    [
        "-rf",
        "--help",
        "a b,c=d",
        "json:{}",
        'json:{"driver":"null-co"}',
        "nbd:localhost:1",
        "fat:rw:/etc",
        "file:x",
        "driver=raw,file.filename=x",
        "x\ny'\"$(id)",
        "ü",
    ],
)
@pytest.mark.usefixtures("qemu")
def test_no_name_is_more_than_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path, new = Path(name.replace("/", "-")), Path(f"{name.replace('/', '-')}.new")
    path.write_bytes(CONTENT)
    convert(path, inspect_image(path), "raw", new, timeout=60)
    assert new.read_bytes() == CONTENT
    assert only(folder, path.name, new.name)


@pytest.mark.parametrize("kind", ["qcow2", "vmdk"])
def test_no_other_file_is_read_even_if_inspection_had_missed_it(
    qemu: Qemu, tmp_path: Path, kind: str
) -> None:
    secret, path, new = tmp_path / "secret", tmp_path / "overlay", tmp_path / "new"
    qemu.run("qemu-img", "create", "-f", kind, secret, "1M")
    qemu.run("qemu-io", "-f", kind, "-c", "write -P 0x55 0 1M", secret)
    qemu.run("qemu-img", "create", "-f", kind, "-b", secret, "-F", kind, path)
    convert(path, ImageInfo(kind, path.stat().st_size, 1 << 20), "raw", new, timeout=60)
    assert b"\x55" not in new.read_bytes()


def test_the_format_is_the_one_that_was_found(qemu: Qemu, tmp_path: Path) -> None:
    """A disk on which its guest wrote the header of another format."""
    inner, path = tmp_path / "inner", tmp_path / "disk"
    qemu.run("qemu-img", "create", "-f", "qcow2", inner, "64M")
    path.write_bytes(inner.read_bytes())
    os.truncate(path, 1 << 20)
    info = ImageInfo("raw", path.stat().st_size, path.stat().st_size)
    convert(path, info, "qcow2", tmp_path / "new", timeout=60)
    qemu.run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", path, tmp_path / "new")


def test_only_what_can_be_had_is_chosen() -> None:
    kvm, xen = ("qcow2", "raw"), ("raw", "qcow2")
    assert [best_format("vmdk", each) for each in (kvm, xen, ("vdi",))] == ["qcow2", "raw", "vdi"]
    assert best_format("raw", kvm) == "raw"
    assert best_format("vdi", ("raw", "vdi")) == "vdi"
    assert best_format("ova", ("vmdk", "raw")) == "raw"
    for found, wanted in (
        ("ovm-template", kvm),
        ("ova", ("ovm-template",)),
        ("raw", ("vmdk", "vhd")),
        ("vmdk", ()),
    ):
        assert not best_format(found, wanted)


def test_without_qemu_img_the_way_to_it_is_told(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError) as caught:
        converted(image)
    assert caught.value.code == "qemu-img-missing"
    assert "qemu-utils" in caught.value.hint
    assert f"qemu-img convert -f raw -O qcow2 {image}" in caught.value.hint
    assert only(tmp_path, image.name)


@pytest.mark.usefixtures("qemu")
def test_a_file_that_changed_is_not_converted(image: Path, tmp_path: Path) -> None:
    info = inspect_image(image)
    os.truncate(image, 512)
    with pytest.raises(ImageError) as caught:
        convert(image, info, "qcow2", tmp_path / "new", timeout=60)
    assert caught.value.code == "image-changed"
    assert only(tmp_path, image.name)


@pytest.mark.usefixtures("qemu")
def test_what_a_killed_conversion_left_is_replaced(image: Path, tmp_path: Path) -> None:
    left = tmp_path / "new.part"
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    left.symlink_to(target)
    converted(image, "raw")
    assert only(tmp_path, "new", "precious", image.name)
    assert target.read_bytes() == b"precious"


HALF = '#!/bin/sh\nfor FILE; do :; done\nprintf half > "$FILE"\n'


@pytest.mark.parametrize(
    ("script", "error", "told"),
    [
        (HALF + "echo 'a bad \033[2J image' >&2; exit 1", ImageError, "not-convertible: a bad"),
        (
            HALF + "echo 'No space left on device' >&2; exit 1",
            CapacityError,
            "full: no space",
        ),
        (HALF + "exit 3", ImageError, "not-convertible: status 3"),
        (HALF + "kill -SEGV $$", ImageError, "not-convertible: SIGSEGV"),
        (HALF + "head -c 1024 /dev/zero > $FILE", ImageError, "not-convertible: 1024 bytes"),
        ("#!/bin/sh\nexit 0", ImageError, "image-empty: empty file"),
    ],
    ids=["words", "full", "status", "signal", "too-short", "nothing-written"],
)
def test_a_failure_is_told_and_leaves_nothing(
    image: Path, pretended: Path, script: str, error: type[ImsError], told: str
) -> None:
    pretended.write_text(script)
    with pytest.raises(error) as caught:
        converted(image, "raw")
    code, word = told.split(": ")
    assert caught.value.code.endswith(code)
    assert word in caught.value.message
    assert caught.value.message.isprintable()
    assert only(image.parent, image.name)


def ended(process: int) -> bool:
    """Whether it is gone, within the time that the kernel needs."""
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.02)
    return False


HANGS = "#!/bin/sh\necho $$ > {0}\nprintf '    (12.50/100%%)\\r'\nexec sleep 60\n"


@pytest.mark.parametrize("how", ["cancel", "timeout", "idle"])
def test_it_ends_when_it_must(
    image: Path, pretended: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    noted = pretended.with_name("pid")
    pretended.write_text(HANGS.format(noted))
    seen: list[int] = []

    def tell(done: int, _total: int | None) -> None:
        seen.append(done)
        if how == "cancel" and done:
            raise CancelledError("stopped")

    if how == "idle":
        monkeypatch.setattr(_qemu_img, "_IDLE_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(CancelledError if how == "cancel" else DeadlineError):
        convert(
            image,
            inspect_image(image),
            "raw",
            image.parent / "new",
            timeout=1.5 if how == "timeout" else 60,
            progress=tell,
        )
    assert time.monotonic() - started < 20
    assert seen[-1] == len(CONTENT) // 8
    assert ended(int(noted.read_text()))
    assert only(image.parent, image.name)


def test_the_child_is_limited(image: Path, pretended: Path) -> None:
    """A qemu-img that writes more than any such disk needs is ended by the kernel."""
    pretended.write_text(
        "#!/bin/sh\nsleep 0.5\ncat /proc/self/limits > ${0%/*}/limits\n"
        "for FILE; do :; done\nexec head -c 100000000 /dev/zero > $FILE\n"
    )
    with pytest.raises(ImageError, match="far more than such a disk needs"):
        converted(image, "raw")
    limits = (pretended.parent / "limits").read_text()
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert rows["Max address space"] == [str(4 << 30)] * 2
    assert rows["Max core file size"] == ["0"] * 2
    assert int(rows["Max cpu time"][0]) >= 60
    assert only(image.parent, image.name)


def test_it_is_given_nothing_of_ours(
    image: Path, pretended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    pretended.write_text("#!/bin/sh\nenv > ${0%/*}/env\nls /proc/$$/fd > ${0%/*}/open\nexit 1\n")
    with image.open("rb") as kept:
        os.set_inheritable(kept.fileno(), True)
        with pytest.raises(ImageError):
            converted(image, "raw")
        assert str(kept.fileno()) not in (pretended.parent / "open").read_text().split()
    variables = (pretended.parent / "env").read_text()
    assert "LC_ALL=C\n" in variables
    assert "SECRET" not in variables
