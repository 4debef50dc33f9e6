"""Good and truncated qcow2 images, made and judged by the real qemu-img."""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_core.errors import ImageError
from ims_images import inspect_image

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Qemu

SLOW = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SECTOR = 512


@dataclass(frozen=True)
class Recipe:
    """How an image is made."""

    cluster_size: int
    options: str
    compress: bool
    sectors: int
    seed: int
    io: tuple[str, ...] = ()
    snapshot: bool = False
    bitmap: bool = False

    @property
    def size(self) -> int:
        return self.sectors * SECTOR


OPTIONS = [
    "compat=0.10",
    "compat=1.1",
    "compat=1.1,compression_type=zstd",
    "compat=1.1,lazy_refcounts=on",
    "compat=1.1,refcount_bits=1",
    "compat=1.1,refcount_bits=64",
    "extended_l2=on",
    "preallocation=metadata",
    "preallocation=falloc",
    "preallocation=full",
    "compat=0.10,preallocation=metadata",
    "extended_l2=on,preallocation=metadata",
]
COMMANDS = ["write -P 5", "write -c -P 6", "write -z", "write -z -u", "discard"]


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    cluster_size = draw(st.sampled_from([512, 4096, 16384, 65536, 2 << 20]))
    options = draw(st.sampled_from(OPTIONS))
    if "extended" in options:
        cluster_size = max(cluster_size, 16384)
    sectors = draw(st.integers(1, 4096))
    io = []
    for _ in range(draw(st.integers(0, 4))):
        command = draw(st.sampled_from(COMMANDS))
        start = draw(st.integers(0, sectors - 1))
        length = draw(st.integers(1, sectors - start))
        if "-c" in command:  # only whole clusters can be compressed
            start = start * SECTOR // cluster_size * cluster_size // SECTOR
            length = min(cluster_size // SECTOR, sectors - start)
        io.append(f"{command} {start * SECTOR} {length * SECTOR}")
    return Recipe(
        cluster_size=cluster_size,
        options=options,
        compress=draw(st.booleans()) and "preallocation" not in options,
        sectors=sectors,
        seed=draw(st.integers(0, 1 << 32)),
        io=tuple(io),
        snapshot=draw(st.booleans()) and "refcount_bits=1" not in options.split(","),
        bitmap=draw(st.booleans()) and "0.10" not in options,
    )


def make(qemu: Qemu, recipe: Recipe, name: str = "good.qcow2") -> Path:
    source, image = qemu.folder / "source.img", qemu.folder / name
    noise = random.Random(recipe.seed)  # noqa: S311 - content, not a secret
    with source.open("wb") as file:
        file.truncate(recipe.size)
        for _ in range(noise.randrange(6)):
            file.seek(noise.randrange(recipe.size))
            file.write(noise.randbytes(noise.randrange(20_000))[: recipe.size - file.tell()])
        file.truncate(recipe.size)
    options = f"cluster_size={recipe.cluster_size},{recipe.options}"
    compress = ["-c"] if recipe.compress else []
    image.unlink(missing_ok=True)
    # fmt: off
    qemu.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *compress, "-o", options,
             source, image)
    # fmt: on
    if recipe.snapshot:
        qemu.run("qemu-img", "snapshot", "-c", "before", image)
    if recipe.bitmap:
        qemu.run("qemu-img", "bitmap", "--add", "-g", "512", image, "changes")
    if recipe.io:
        commands = [part for line in recipe.io for part in ("-c", line)]
        qemu.attempt("qemu-io", "-f", "qcow2", *commands, image)
    return image


def snapshot_content(qemu: Qemu, image: Path) -> bytes:
    raw = qemu.folder / "snapshot.img"
    qemu.run("qemu-img", "convert", "-l", "before", "-f", "qcow2", "-O", "raw", image, raw)
    return raw.read_bytes()


@given(recipe=recipes())
@SLOW
def test_every_image_that_qemu_makes_is_accepted_with_its_size(qemu: Qemu, recipe: Recipe) -> None:
    image = make(qemu, recipe)
    info = inspect_image(image)
    assert info.format == "qcow2"
    assert info.size == image.stat().st_size
    assert info.virtual_size == qemu.info(image)["virtual-size"] == recipe.size


@given(recipe=recipes(), data=st.data())
@SLOW
def test_a_truncated_image_that_is_accepted_has_lost_nothing(
    qemu: Qemu, recipe: Recipe, data: st.DataObject
) -> None:
    image = make(qemu, recipe)
    size = image.stat().st_size
    cut = qemu.folder / "cut.qcow2"
    for _ in range(4):
        lost = data.draw(
            st.one_of(
                st.integers(1, min(size, 1200)),
                st.integers(1, min(size, 2 * recipe.cluster_size)),
                st.integers(1, size),
            )
        )
        shutil.copyfile(image, cut)
        os.truncate(cut, size - lost)
        try:
            info = inspect_image(cut, declared="qcow2" if size - lost >= 72 else "")
        except ImageError:
            continue
        assert info.virtual_size == recipe.size
        assert qemu.same_content(image, cut)
        qemu.run("qemu-img", "check", "-f", "qcow2", cut, ok=(0, 3))  # 3: leaks, no damage
        if recipe.snapshot:
            assert snapshot_content(qemu, image) == snapshot_content(qemu, cut)


@pytest.mark.parametrize("lost", [1, 511, 512, 513, 4096, 65536])
@pytest.mark.parametrize("options", ["compat=0.10", "compat=1.1", "extended_l2=on"])
@pytest.mark.parametrize("compress", [False, True])
def test_a_lost_end_of_data_is_seen(qemu: Qemu, *, options: str, compress: bool, lost: int) -> None:
    source, image = qemu.folder / "noise.img", qemu.folder / "noise.qcow2"
    noise = random.Random(3).randbytes(1 << 20)  # noqa: S311 - content, not a secret
    source.write_bytes(noise)
    flags = ["-c"] if compress else []
    qemu.run("qemu-img", "convert", "-O", "qcow2", *flags, "-o", options, source, image)
    inspect_image(image)
    os.truncate(image, image.stat().st_size - lost)
    with pytest.raises(ImageError) as caught:
        inspect_image(image)
    assert caught.value.code == "image-truncated"


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_compressed_data_that_stops_inside_its_last_sector_is_whole(
    qemu: Qemu, compression: str
) -> None:
    # qemu-io, like a running VM's compressed backup, does not pad the file to a sector.
    image = qemu.folder / "tail.qcow2"
    option = f"compression_type={compression}"
    qemu.run("qemu-img", "create", "-f", "qcow2", "-o", option, image, "1M")
    qemu.run("qemu-io", "-f", "qcow2", "-c", "write -c -P 5 64k 64k", image)
    size = image.stat().st_size
    assert size % SECTOR
    inspect_image(image)
    original = qemu.folder / "tail-whole.qcow2"
    shutil.copyfile(image, original)
    for lost in range(1, size % SECTOR + 2):
        os.truncate(image, size - lost)
        try:
            inspect_image(image)
        except ImageError as error:
            assert error.code == "image-truncated"  # noqa: PT017 - either outcome is good
        else:
            assert qemu.same_content(image, original)
    with pytest.raises(ImageError):
        inspect_image(image)


def assert_needs_all_but(qemu: Qemu, image: Path, spare: int) -> None:
    """The file may lose ``spare`` bytes at its end, and not one more."""
    whole = qemu.folder / "whole.qcow2"
    shutil.copyfile(image, whole)
    size = image.stat().st_size
    os.truncate(image, size - spare)
    inspect_image(image)
    assert qemu.same_content(image, whole)
    os.truncate(image, size - spare - 1)
    with pytest.raises(ImageError) as caught:
        inspect_image(image)
    assert caught.value.code == "image-truncated"


@pytest.mark.parametrize("tail", [512, 1024, 65024])
def test_the_last_cluster_may_end_where_the_disk_does(qemu: Qemu, tail: int) -> None:
    # As preallocation writes it, and other tools than qemu-img.
    source, image = qemu.folder / "noise.img", qemu.folder / "short.qcow2"
    noise = random.Random(3).randbytes(131072 + tail)  # noqa: S311 - content, not a secret
    source.write_bytes(noise)
    qemu.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, image)
    assert_needs_all_but(qemu, image, 65536 - tail)


def test_a_cluster_may_end_after_its_last_subcluster_in_use(qemu: Qemu) -> None:
    image = qemu.folder / "sub.qcow2"
    qemu.run("qemu-img", "create", "-f", "qcow2", "-o", "extended_l2=on", image, "1M")
    qemu.run("qemu-io", "-f", "qcow2", "-c", "write -P 5 10k 2k", image)
    assert_needs_all_but(qemu, image, 0)


def test_a_backing_file_is_refused_and_never_opened(qemu: Qemu) -> None:
    base, image = qemu.folder / "base.qcow2", qemu.folder / "overlay.qcow2"
    qemu.run("qemu-img", "create", "-f", "qcow2", base, "1M")
    qemu.run("qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "qcow2", image)
    base.unlink()
    with pytest.raises(ImageError, match=r"overlay\.qcow2") as caught:
        inspect_image(image)
    assert caught.value.code == "image-has-backing-file"
    assert str(base) in caught.value.message
    assert "qemu-img convert" in caught.value.message
    assert caught.value.hint.startswith("qemu-img convert -O qcow2")


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
@pytest.mark.parametrize(
    ("backing", "shown"),
    [
        ("/etc/shadow", "/etc/shadow"),
        ("../../x", "../../x"),
        ('json:{"driver":"nbd","password":"hunter2"}', "json:…"),
        ("https://user:hunter2@example.org/x", "https:…"),
        ("x\x1b[2J" + "y" * 900, "\\\\x1b"),
    ],
)
def test_any_backing_name_is_refused_and_shown_harmlessly(
    qemu: Qemu, compat: str, backing: str, shown: str
) -> None:
    image = qemu.folder / "overlay.qcow2"
    option = f"compat={compat}"
    # fmt: off
    qemu.run("qemu-img", "create", "-f", "qcow2", "-u", "-b", backing, "-F", "raw", "-o", option,
             image, "1M")
    # fmt: on
    with pytest.raises(ImageError) as caught:
        inspect_image(image)
    assert caught.value.code == "image-has-backing-file"
    assert shown in caught.value.message
    assert "hunter2" not in str(caught.value.to_json())
    assert caught.value.message.isprintable()


def test_an_external_data_file_is_refused(qemu: Qemu) -> None:
    image = qemu.folder / "meta.qcow2"
    # fmt: off
    qemu.run("qemu-img", "create", "-f", "qcow2", "-o", "data_file=outside.raw,data_file_raw=on",
             image, "1M")
    # fmt: on
    with pytest.raises(ImageError, match="external") as caught:
        inspect_image(image)
    assert caught.value.code == "image-has-data-file"


@pytest.mark.parametrize("method", ["luks", "aes"])
def test_an_encrypted_image_is_refused(qemu: Qemu, method: str) -> None:
    image = qemu.folder / "secret.qcow2"
    options = f"encrypt.format={method},encrypt.key-secret=k"
    if method == "luks":
        options += ",encrypt.iter-time=10"
    secret = ["--object", "secret,id=k,data=abc"]
    # For LUKS it measures its own CPU time, and gives up where the kernel's
    # ticks counted none of it; which is chance, so it is asked again.
    for _ in range(20):
        done = qemu.attempt(
            "qemu-img", "create", *secret, "-f", "qcow2", "-o", options, image, "1M"
        )
        if "accurate CPU usage" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    with pytest.raises(ImageError) as caught:
        inspect_image(image)
    assert caught.value.code == "image-encrypted"


@pytest.mark.parametrize("options", ["compat=1.1", "extended_l2=on"])
def test_a_full_image_of_10_gib_takes_well_under_a_second(qemu: Qemu, options: str) -> None:
    image = qemu.folder / "large.qcow2"
    options += ",preallocation=metadata"
    qemu.run("qemu-img", "create", "-f", "qcow2", "-o", options, image, "10G")
    if image.stat().st_size < 10 << 30:
        pytest.skip("this qemu-img does not preallocate the data")
    started = time.process_time()
    assert inspect_image(image).virtual_size == 10 << 30
    assert time.process_time() - started < 0.7
    image.unlink()
