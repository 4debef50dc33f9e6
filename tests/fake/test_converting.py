"""Images that the provider does not take as they are, imported all the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import (
    CancelledError,
    CapacityError,
    DeadlineError,
    HypervisorError,
    ImageError,
    InvalidError,
    UnsupportedError,
)
from ims_core.service import Event, Phase
from ims_fake import FakeProvider
from tests.fake.pools import contents
from tests.images.appliances import DISK, ovf, packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core.models import Template
    from ims_core.service import Ims

    Connect = Callable[..., Ims]

CONTENT = b"\xeb\x63" + bytes(range(256)) * 4096 + bytes(3 << 20) + b"end!".ljust(510, b"\0")
OPTIONS = {
    "vmdk": ["vmdk"],
    "stream": ["vmdk", "-o", "subformat=streamOptimized"],
    "vdi": ["vdi"],
    "vhd": ["vpc", "-o", "force_size=on"],
    "fixed": ["vpc", "-o", "subformat=fixed,force_size=on"],
}
KILLED = -9
IMPORT = """
import sys
from ims_core import Ims
with Ims() as ims:
    ims.import_template(sys.argv[1], "web")
"""
KILLED_THEN = """
import os, signal
from ims_fake import FakeProvider
FakeProvider.import_template = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    """The same disk as other hypervisors have it."""
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (Debian: qemu-utils)")
    folder = tmp_path / "images"
    folder.mkdir()
    source = folder / "source.raw"
    source.write_bytes(CONTENT)
    paths = {}
    for name, options in OPTIONS.items():
        paths[name] = folder / f"web-{name}.img"
        line = ["qemu-img", "convert", "-f", "raw", "-O", *options, str(source), str(paths[name])]
        subprocess.run(line, check=True, timeout=60, capture_output=True)
    paths["ova"] = folder / "web.ova"
    paths["ova"].write_bytes(packed({"web.ovf": ovf(), DISK: paths["stream"].read_bytes()}))
    return paths


def digest_of(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def stored(pool: Path, template: Template) -> Path:
    return pool / "templates" / f"{template.name}-{template.operation}.img"


def same(path: Path, template: Template) -> bool:
    """Whether a stored image has the content that all of them have."""
    source = path.parents[2] / "images" / "source.raw"
    line = ["qemu-img", "compare", "-f", template.format, "-F", "raw", str(path), str(source)]
    return subprocess.run(line, check=False, timeout=60, capture_output=True).returncode == 0


def cached(own_state: Path) -> list[str]:
    downloads = own_state / "state" / "downloads"
    return sorted(each.name for each in downloads.iterdir()) if downloads.exists() else []


@pytest.mark.parametrize("name", [*OPTIONS, "ova"])
def test_it_becomes_the_first_format_that_the_provider_has(
    connect: Connect, pool: Path, own_state: Path, images: dict[str, Path], name: str
) -> None:
    told: list[Event] = []
    template = connect(told.append).import_template(
        str(images[name]), "web", sha256=digest_of(images[name])
    )
    path = stored(pool, template)
    assert template.format == "qcow2"
    assert template.size == path.stat().st_size
    assert template.virtual_size == len(CONTENT)
    assert template.digest == digest_of(path)
    assert template.source == str(images[name])
    assert same(path, template)
    assert connect().create_vm("web01", template="web").name == "web01"
    assert cached(own_state) == []
    assert images[name].exists()
    percents = [each.percent for each in told if each.phase is Phase.CONVERT]
    assert percents[0] is None
    assert 100.0 in percents
    assert not [each for each in told if each.warning]


def test_the_order_is_the_provider_s(
    connect: Connect, pool: Path, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    features = FakeProvider.features
    for formats, wanted in ((("raw", "qcow2"), "raw"), (("vmdk", "vdi", "raw"), "vdi")):
        monkeypatch.setattr(FakeProvider, "features", replace(features, template_formats=formats))
        template = ims.import_template(str(images["vhd"]), f"as-{wanted}")
        assert template.format == wanted
        assert same(stored(pool, template), template)


def test_what_the_provider_takes_it_gets_as_it_is(
    connect: Connect, pool: Path, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    formats = replace(FakeProvider.features, template_formats=("raw", "vdi"))
    monkeypatch.setattr(FakeProvider, "features", formats)
    monkeypatch.setenv("PATH", "")
    template = ims.import_template(str(images["vdi"]), "web")
    assert template.format == "vdi"
    assert template.digest == digest_of(images["vdi"]) == digest_of(stored(pool, template))


def test_what_cannot_be_converted_is_refused_as_before(
    connect: Connect, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ims = connect()
    for formats in (("ovm-template",), ("vmdk",)):
        given = replace(FakeProvider.features, template_formats=formats)
        monkeypatch.setattr(FakeProvider, "features", given)
        with pytest.raises(UnsupportedError, match="no VMs from ova") as caught:
            ims.import_template(str(images["ova"]), "web")
        assert formats[0] in caught.value.hint


def test_the_digest_is_of_the_file_that_was_given(
    connect: Connect, pool: Path, own_state: Path, images: dict[str, Path]
) -> None:
    before = contents(pool)
    told: list[Event] = []
    ims = connect(told.append)
    with pytest.raises(InvalidError) as caught:
        ims.import_template(str(images["vmdk"]), "web", sha256=digest_of(images["vdi"]))
    assert caught.value.code == "image-digest-mismatch"
    assert not [each for each in told if each.phase is Phase.CONVERT]
    assert contents(pool) == before
    ims.import_template(str(images["vmdk"]), "web")
    [warning] = [each.message for each in told if each.warning]
    assert digest_of(images["vmdk"]) in warning


def test_a_declared_format_must_be_the_real_one(connect: Connect, images: dict[str, Path]) -> None:
    with pytest.raises(ImageError) as caught:
        connect().import_template(str(images["vmdk"]), "web", image_format="vdi")
    assert caught.value.code == "image-format-mismatch"
    connect().import_template(str(images["vmdk"]), "web", image_format="vmdk")


def test_there_must_be_room_for_what_is_made(
    connect: Connect, pool: Path, own_state: Path, images: dict[str, Path]
) -> None:
    before = contents(pool)
    used = sum(each.stat().st_size for each in pool.rglob("*") if each.is_file())
    given = images["stream"].stat().st_size
    with pytest.raises(CapacityError) as caught:
        connect(capacity=used + given).import_template(str(images["stream"]), "web")
    assert caught.value.code == "pool-full"
    assert "as qcow2" in caught.value.message
    assert contents(pool) == before
    assert cached(own_state) == []


def test_a_failure_leaves_nothing(
    connect: Connect, pool: Path, own_state: Path, images: dict[str, Path]
) -> None:
    before = contents(pool)
    for step in ("import.image", "import.manifest"):
        with pytest.raises(HypervisorError, match=step):
            connect(fail=[step]).import_template(str(images["ova"]), "web")
        assert (contents(pool), cached(own_state)) == (before, [])

    def cancel(event: Event) -> None:
        if event.phase is Phase.CONVERT and event.percent is not None:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        connect(cancel).import_template(str(images["ova"]), "web")
    assert (contents(pool), cached(own_state)) == (before, [])


def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have another program found in the place of qemu-img."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "qemu-img").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_deadline_is_that_of_the_import(
    connect: Connect, own_state: Path, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(own_state, monkeypatch, "exec sleep 60")
    with pytest.raises(DeadlineError):
        connect().import_template(str(images["vmdk"]), "web", timeout=2)
    assert cached(own_state) == []


def test_a_killed_import_leaves_one_folder_until_the_next(
    connect: Connect,
    pool: Path,
    own_state: Path,
    images: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect()
    before = contents(pool)
    for image, script in (("vmdk", KILLED_THEN + IMPORT), ("ova", KILLED_THEN + IMPORT)):
        for _ in range(2):
            line = [sys.executable, "-c", script, str(images[image])]
            assert subprocess.run(line, timeout=60, check=False).returncode == KILLED
    assert len(cached(own_state)) == 2
    with monkeypatch.context() as changed:
        pretend(own_state, changed, 'for FILE; do :; done; echo x > "$FILE"; kill -9 $PPID')
        line = [sys.executable, "-c", IMPORT, str(images["vmdk"])]
        assert subprocess.run(line, timeout=60, check=False).returncode == KILLED
    assert len(cached(own_state)) == 2
    with pytest.raises(HypervisorError):
        connect(fail=["import.image"]).import_template(str(images["vmdk"]), "web")
    template = connect().import_template(str(images["ova"]), "web")
    assert same(stored(pool, template), template)
    assert cached(own_state) == []
    connect().delete_template("web")
    assert contents(pool) == before


def test_what_a_killed_import_left_is_gone_before_the_next_needs_its_room(
    connect: Connect, own_state: Path, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    line = [sys.executable, "-c", KILLED_THEN + IMPORT, str(images["vmdk"])]
    assert subprocess.run(line, timeout=60, check=False).returncode == KILLED
    [folder] = cached(own_state)
    assert folder.endswith(".converted")
    pretend(own_state, monkeypatch, f"ls {own_state}/state/downloads/{folder} >&2; exit 1")
    with pytest.raises(ImageError, match=r"cannot be converted: disk\.qcow2\.part$"):
        connect().import_template(str(images["vmdk"]), "web")


def test_two_imports_of_one_image_do_not_disturb_each_other(
    connect: Connect, pool: Path, own_state: Path, images: dict[str, Path]
) -> None:
    ims = connect()
    with ThreadPoolExecutor(3) as threads:
        names = ["web1", "web2", "web3"]
        made = threads.map(lambda name: ims.import_template(str(images["vmdk"]), name), names)
        for template in made:
            assert same(stored(pool, template), template)
    assert cached(own_state) == []
