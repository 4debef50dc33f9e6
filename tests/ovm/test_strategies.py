"""Both ways onto Bootparams.img, on the lab: the guest reads the same bytes by either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ovm.lab import write_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.ovm import OvmLab
    from tests.ovm.lab import Lab

pytestmark = [pytest.mark.lab_xen, pytest.mark.full]

IMAGE = "/OVS/running_pool/*_web01/Bootparams.img"


def test_mount_and_replace_give_the_guest_identical_bytes(
    lab: Lab, ovm_lab: OvmLab, own_state: Path
) -> None:
    context = ("--set", "color=red", "--file", f"/etc/motd={motd(own_state)}")
    order = ("--memory", "128M", "--wait", "ready", "--timeout", "1200")
    made = lab.json("create-vm", "web01", *order, *context)
    assert made["receipt"]["ready"]
    lab.json("stop-vm", "web01", "--timeout", "600")
    replaced, attributes = files_on_it(lab), attributes_of(lab)
    write_config(own_state, ovm_lab, bootparams="mount")
    again = lab.json("start-vm", "web01", "--wait", "ready", "--timeout", "1200")
    assert again["receipt"]["ready"]
    assert again["receipt"]["digest"] == made["receipt"]["digest"]
    refused = lab.cli("start-vm", "web01")
    assert refused.returncode == 4, "in use by a running guest"
    lab.json("stop-vm", "web01", "--timeout", "600")
    mounted = files_on_it(lab)
    assert mounted.pop("ims.nonce") != replaced.pop("ims.nonce")
    assert mounted == replaced
    assert attributes_of(lab) == attributes
    lab.json("delete-vm", "web01")


def motd(folder: Path) -> Path:
    path = folder / "motd"
    path.write_text("Made by the tests.\n")
    return path


def files_on_it(lab: Lab) -> dict[str, str]:
    """The digest of every file by its name, as dom0's own kernel reads them."""
    told = lab.dom0.run(
        f"mkdir /tmp/look; mount -o loop,ro {IMAGE} /tmp/look; cd /tmp/look;"
        " find . -type f -exec sha256sum {} +; cd /; umount /tmp/look; rmdir /tmp/look"
    )
    return {name.removeprefix("./"): digest for digest, name in map(str.split, told.splitlines())}


def attributes_of(lab: Lab) -> str:
    """Type, label and serial number, and the size."""
    return lab.dom0.run(f"blkid -p -o export {IMAGE} | grep -v DEVNAME; stat -c %s {IMAGE}")
