"""A VM's vm.cfg for xl; see xl.cfg(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ims_dom0.vmcfg import Disk, write_disk, write_xl
from ims_xen.names import MEDIUM, Folder, TemplateFolder

if TYPE_CHECKING:
    from ims_core.models import Carrier, VMSpec
    from ims_dom0.vmcfg import XlValue

__all__ = ["BOOT_METHODS", "vm_config"]

BOOT_METHODS = ("pv", "pvh", "hvm")

_MIB = 1 << 20
_CONSOLE = "console=hvc0"


def vm_config(spec: VMSpec, carrier: Carrier, directory: str) -> str:
    """The file's text. Nothing secret is in it: the context has files of its own."""
    method = spec.template.boot or BOOT_METHODS[0]
    values: dict[str, XlValue] = {
        "name": spec.name,
        "uuid": spec.uuid,
        "type": method,
        "memory": -(-spec.memory // _MIB),
        "vcpus": spec.vcpus,
        **_boot(spec, method, directory),
        "disk": [write_disk(disk) for disk in _disks(spec, carrier, method, directory)],
        "vif": [f"mac={card.mac},bridge={card.network}" for card in spec.interfaces],
        "on_poweroff": "destroy",
        # The guest keeps what it was told: its keys are not there after this.
        "on_reboot": "restart",
        "on_crash": "preserve",
    }
    return write_xl(values)


def _boot(spec: VMSpec, method: str, directory: str) -> dict[str, XlValue]:
    template = TemplateFolder(directory, spec.template.name)
    if spec.template.kernel:
        values: dict[str, XlValue] = {"kernel": template.path("kernel")}
        if spec.template.ramdisk:
            values["ramdisk"] = template.path("ramdisk")
        values["cmdline"] = spec.template.cmdline or _CONSOLE
        return values
    return {"bootloader": "pygrub"} if method == "pv" else {"serial": "pty"}


def _disks(spec: VMSpec, carrier: Carrier, method: str, directory: str) -> list[Disk]:
    folder = Folder(directory, spec.name)
    image_format: Literal["raw", "qcow2"] = "qcow2" if spec.template.format == "qcow2" else "raw"
    disks = [Disk(folder.path(folder.root(image_format)), image_format, "xvda")]
    if carrier.is_medium:
        # A CD drive is a thing of HVM; to a PV guest it is one more disk.
        if method == "hvm" and carrier == "iso":
            disks.append(Disk(folder.path(MEDIUM), "raw", "hdc", "ro", "cdrom"))
        else:
            disks.append(Disk(folder.path(MEDIUM), "raw", "xvdb", "ro"))
    return disks
