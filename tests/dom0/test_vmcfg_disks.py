from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ims_core.errors import InvalidError
from ims_dom0 import vmcfg
from ims_dom0.vmcfg import Disk, parse_disk, write_disk
from tests.dom0 import libxlu as judge

if TYPE_CHECKING:
    from tests.dom0.libxlu import Libxlu

#: A disk that xl-disk-configuration(5) gives in several forms.
ROOT = Disk("/dev/vg/guest-volume", "raw", "hda")
CD = Disk("/root/image.iso", "raw", "hdc", "ro", "cdrom")
NO_CD = Disk("", "empty", "hdc", "ro", "cdrom")

FORMS = [
    ("/dev/vg/guest-volume,,hda", ROOT),
    ("/dev/vg/guest-volume,raw,hda,rw", ROOT),
    ("format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume", ROOT),
    ("raw:/dev/vg/guest-volume,hda,w", ROOT),
    ("/root/image.iso,,hdc,cdrom", CD),
    ("/root/image.iso,,hdc,,cdrom", CD),
    ("/root/image.iso,raw,hdc,devtype=cdrom", CD),
    ("format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso", CD),
    ("raw:/root/image.iso,hdc:cdrom,ro", CD),
    (
        "file:/OVS/running_pool/1_vm/System.img,xvda,w",
        Disk("/OVS/running_pool/1_vm/System.img", "raw", "xvda"),
    ),
    ("phy:/dev/mapper/lun,xvdb,r", Disk("/dev/mapper/lun", "raw", "xvdb", "ro")),
    ("phy:sda1,xvdb", Disk("sda1", "raw", "xvdb")),
    ("tap:aio:/a b.img,ioemu:hda,w", Disk("/a b.img", "raw", "hda")),
    ("tap:qcow2:/x,xvda:disk,w", Disk("/x", "qcow2", "xvda")),
    ("vdev=xvda,target=/a,b =c", Disk("/a,b =c", "raw", "xvda")),
    (",hdc:cdrom,r", NO_CD),
    ("file:,hdc:cdrom,r", NO_CD),
    ("vdev=hdc,cdrom", NO_CD),
]


@pytest.mark.parametrize(("text", "disk"), FORMS)
def test_the_forms_of_an_entry(libxlu: Libxlu, text: str, disk: Disk) -> None:
    assert parse_disk(text) == disk
    assert libxlu.disk(text) == as_xl_has_it(disk)
    assert parse_disk(write_disk(disk)) == disk


def as_xl_has_it(disk: Disk) -> judge.Disk:
    return judge.Disk(
        target=disk.target,
        format=disk.format,
        vdev=disk.vdev,
        writable=disk.access == "rw",
        cdrom=disk.kind == "cdrom",
    )


TARGETS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)
DISKS = st.builds(
    Disk,
    target=TARGETS.filter(lambda target: not target.endswith(",")),
    format=st.sampled_from(["raw", "qcow", "qcow2", "vhd", "qed"]),
    vdev=st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
    access=st.sampled_from(["ro", "rw"]),
)


@given(DISKS)
@example(Disk(" target=/x,,y ", "vhd", "raw"))
@example(NO_CD)
def test_xl_reads_what_is_written(libxlu: Libxlu, disk: Disk) -> None:
    assert parse_disk(write_disk(disk)) == disk
    assert libxlu.disk(write_disk(disk)) == as_xl_has_it(disk)


PARAMETERS = st.sampled_from(
    [
        *("/x", "/a b", "/a=b", "", "x:y", "http:/x", "nbd:/x", " /x", "::", "A:/x", "target"),
        *("file:/x", "file: /x", "phy:/d", "tap:aio:/x", "tap2:qcow:/z", "raw:", "vhd:/x", "file:"),
        *("raw", "qcow2", "empty", "format=raw", "format=", "format=empty", "formatx=1"),
        *("xvda", "xvda ", "ioemu:hda", "hdc:cdrom", "hda:disk", ":cdrom", "vdev=xvdb", "vdev="),
        *("w", "r", "rw", "ro", "w!", "access=ro", "access="),
        *("cdrom", "cdromx", "devtype=cdrom", "devtype=disk", "devtype=x"),
        *("target=/y", "target=", "discard", "discardx", "script=s", "backendtype=phy"),
    ]
)


@given(st.lists(PARAMETERS, min_size=1, max_size=6).map(",".join))
def test_an_entry_is_read_as_xl_reads_it_or_refused(libxlu: Libxlu, text: str) -> None:
    try:
        disk = parse_disk(text)
    except InvalidError:
        return
    assert libxlu.disk(text) == as_xl_has_it(disk)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        disk = parse_disk(text)
    except InvalidError as error:
        assert error.hint  # noqa: PT017 - or it is read
    else:
        assert parse_disk(write_disk(disk)) == disk


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("phy:/dev/shared,xvdb,w!", "shared for writing"),
        ("/x,xvda,w", "format 'xvda'"),
        ("/a=b,raw,xvda,w", "parameter '/a'"),
        ("iscsi:x,xvda,w", "prefix"),
        ("/x,raw,xvda,w,script=s", "'script'"),
        ("/x,raw,xvda,w,discard", "'discard'"),
        ("/x,raw,xvda,w,target=/y", "target twice"),
        ("/x,raw,xvda,w,w", "access twice"),
        ("/x", "no vdev"),
        ("vdev=xvda", "no target"),
        ("/x,empty,hdc:cdrom", "is empty and has a target"),
        ("/x,raw,/dev/xvda", "'/dev/xvda'"),
        ("/x\ny,raw,xvda", "control character"),
    ],
)
def test_an_entry_that_is_not_understood_is_refused(text: str, named: str) -> None:
    with pytest.raises(InvalidError, match=named):
        parse_disk(text)


@pytest.mark.parametrize(
    "disk",
    [
        Disk("/x\n", "raw", "xvda"),
        Disk("/x\ud800", "raw", "xvda"),
        Disk("/x", "raw", "xvda,script=evil"),
        Disk("/x", "raw", ""),
        Disk("/x", "empty", "xvda"),
        Disk("", "raw", "xvda"),
        Disk("", "empty", "xvda"),
        Disk("/x.iso", "raw", "hdc", "rw", "cdrom"),
    ],
)
def test_a_disk_that_no_entry_can_mean_is_refused(disk: Disk) -> None:
    with pytest.raises(InvalidError):
        write_disk(disk)


def test_a_trailing_comma_is_cut_off_by_xl(libxlu: Libxlu) -> None:
    assert libxlu.disk("vdev=xvda,target=/x,").target == "/x"
    with pytest.raises(InvalidError, match="ends with a comma"):
        write_disk(Disk("/x,", "raw", "xvda"))


def test_what_is_public_is_there() -> None:
    assert all(hasattr(vmcfg, name) for name in vmcfg.__all__)
