"""Real guests that the CPU's virtualization runs: PVH, and HVM from its own disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.xen.conftest import Lab

# Minutes each: an emulated BIOS reads the kernel of the HVM guests.
pytestmark = [pytest.mark.lab_xen, pytest.mark.full]

# Xen keeps shadows of these guests' page tables in their memory.
NEW = ("--memory", "192M", "--wait", "ready", "--timeout", "1200")


def test_a_pvh_guest_is_told_by_xenstore(lab: Lab, tiny_image: Path) -> None:
    folder = tiny_image.parent
    kernel = ("--kernel", str(folder / "vmlinux"), "--ramdisk", str(folder / "initrd.gz"))
    options = ("--boot", "pvh", *kernel, "--cmdline", "console=hvc0 quiet")
    import_template(lab, folder / "tiny.raw", *options)
    made = lab.json("create-vm", "web-pvh", *NEW, "--template", "hardware")
    assert made["receipt"]["ready"]
    assert kind_of(lab, "web-pvh") == "pvh"
    lab.json("delete-vm", "web-pvh")
    lab.json("delete-template", "hardware")


@pytest.mark.parametrize("carrier", ["xenstore", "iso"])
def test_an_hvm_guest_is_told_by_xenstore_or_a_cd(lab: Lab, tiny_image: Path, carrier: str) -> None:
    import_template(lab, tiny_image, "--boot", "hvm")
    options = ("--template", "hardware", "--context-carrier", carrier)
    made = lab.json("create-vm", "web-hvm", *NEW, *options)
    assert made["receipt"]["ready"]
    assert kind_of(lab, "web-hvm") == "hvm"
    lab.json("stop-vm", "web-hvm", "--timeout", "600")
    assert lab.json("show-vm", "web-hvm")["state"] == "stopped"
    lab.json("delete-vm", "web-hvm")
    lab.json("delete-template", "hardware")


def import_template(lab: Lab, image: Path, *options: str) -> None:
    common = ("--name", "hardware", "--layout", "bootparams", "--min-memory", "64M")
    lab.json("import-template", str(image), *common, *options)


def kind_of(lab: Lab, name: str) -> str:
    """What Xen itself says that the domain is."""
    return lab.dom0.run(
        f"xl list -l {name} | python3 -c 'import json, sys;"
        ' print(json.load(sys.stdin)[0]["config"]["c_info"]["type"])\''
    ).strip()
