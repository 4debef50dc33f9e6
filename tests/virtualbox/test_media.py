"""What becomes of a VM's media, with a real VBoxManage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.virtualbox.conftest import Lab

NEW = ("--memory", "64M", "--wait", "defined", "--quiet")


def discs(lab: Lab) -> list[str]:
    """The media with contexts, as files and as VirtualBox knows them."""
    files = lab.host.run("find /root/.local/share/ims -name 'seed-*.iso'").splitlines()
    listed = lab.vbox("list dvds").splitlines()
    known = [line.split()[-1] for line in listed if line.startswith("Location:")]
    assert sorted(files) == sorted(known)
    return files


def test_a_context_takes_the_place_of_the_one_before(chroot: Lab) -> None:
    chroot.json("create-vm", "web", *NEW)
    first = discs(chroot)
    chroot.json("update-context", "web", "--set", "color=red")
    assert chroot.cli("start-vm", "web").returncode != 0, "nothing starts here"
    second = discs(chroot)
    assert len(first) == len(second) == 1
    assert first != second


def test_a_snapshot_keeps_the_context_that_it_has(chroot: Lab) -> None:
    chroot.json("create-vm", "web", *NEW)
    first = discs(chroot)
    chroot.json("snapshot-vm", "web", "--name", "then")
    chroot.cli("start-vm", "web")
    assert set(first) < set(discs(chroot))
    chroot.json("restore-snapshot", "web", "then")
    assert set(first) <= set(discs(chroot))
