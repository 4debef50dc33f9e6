"""The ovm provider with a simulated Manager and a pretended dom0, both in this process."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ims_bootparams.digest import listed
from ims_bootparams.media import build
from ims_core.models import Carrier, Delivery, Interface, Mark, Template, VMSpec
from ims_core.undo import Undo
from ims_ovm import OvmProvider
from ims_ovm.opening import open_manager
from tests.xen.pretended import PretendedShell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0

OPERATION = "0123456789abcdef"
SIZE = 65536


def quiet(done: int, total: int | None) -> None:
    """Progress that nobody watches."""


class PretendedProvider(OvmProvider):
    """The provider, with the pretended dom0 whose folder lies beside its /OVS."""

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        shell = PretendedShell(Path(settings["directory"]).parent / "xen")
        return cls(open_manager(settings), shell, settings)


def archive_of(folder: Path, **members: bytes | str) -> Path:
    """A template's archive, as ``tar`` makes one, with these files besides."""
    inside = folder / "packed"
    inside.mkdir(parents=True)
    disk = "file:/OVS/seed_pool/packed"
    files: dict[str, bytes | str] = {
        "System.img": b"\x55" * SIZE,
        "Bootparams.img": build(Carrier.FAT_DISK, {"README": b"nobody's business\n"}, "IMS"),
        "vm.cfg": f"name = 'packed'\nmemory = '64'\nbootloader = '/usr/bin/pygrub'\n"
        f"disk = ['{disk}/System.img,xvda,w', '{disk}/Bootparams.img,xvdb,w']\n",
        **{name.replace("_", "."): content for name, content in members.items()},
    }
    for name, content in files.items():
        path = inside / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    packed = folder / "packed.tgz"
    subprocess.run(["tar", "-C", folder, "-czf", packed, "packed"], check=True)
    return packed


def template_of(archive: Path, name: str = "tiny", **changes: Any) -> Template:
    """What the service would say of such an archive."""
    digest = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    values: dict[str, Any] = {
        "name": name,
        "format": "ovm-template",
        "digest": digest,
        "size": archive.stat().st_size,
        "virtual_size": SIZE,
        "layout": "bootparams",
        "operation": OPERATION,
    }
    return Template(**(values | changes))


@dataclass
class PretendedOvm:
    """A Manager, its dom0, and a provider that uses both."""

    dom0: PretendedDom0
    manager: Manager
    url: str

    def settings(self, **changed: Any) -> dict[str, Any]:
        """A pool's settings for it."""
        values = {"manager": self.url, "auth": "none", "directory": str(self.dom0.ovs)}
        return dict(OvmProvider.settings()(**(values | changed)).model_dump())

    def provider(self, **changed: Any) -> OvmProvider:
        """A provider that was opened with such settings."""
        return PretendedProvider.open(self.settings(**changed))

    def leftovers(self) -> set[str]:
        """Everything that is in the repository and in the Manager."""
        folders = {
            *self.dom0.ovs.glob("running_pool/*"),
            *self.dom0.ovs.glob("seed_pool/*"),
            *self.dom0.ovs.glob("ims/making/*"),
        }
        files = {
            str(path.relative_to(self.dom0.ovs))
            for path in self.dom0.ovs.rglob("*")
            if path.is_file() or path.is_symlink() or path in folders
        } - {"ims/id"}
        # A start leaves these in a VM's folder, and they go with it.
        passing = ("vm.xl", "memory", "ims/receipt")
        files = {each for each in files if not each.endswith(passing)}
        store = self.manager.store
        (pool,) = store.pools()
        vms = {f"VM {each.name}" for each in store.vms(pool)}
        return files | vms | {f"template {each.name}" for each in store.templates(pool)}


def imported(provider: OvmProvider, archive: Path, name: str = "tiny") -> Template:
    """The template, as it is listed when it is there."""
    template = template_of(archive, name)
    provider.import_template({"image": archive}, template, Undo(OPERATION), quiet)
    return template


def spec_of(template: Template, name: str = "web", **changes: Any) -> VMSpec:
    """An order for a VM."""
    values: dict[str, Any] = {
        "template": template,
        "uuid": str(uuid4()),
        "memory": 96 << 20,
        "vcpus": 2,
        "disk": template.virtual_size,
        "interfaces": (Interface("xenbr0", "00:16:3e:00:00:01"),),
    }
    return VMSpec(name=name, **(values | changes))


def delivery_of(nonce: str = "11", **files: bytes) -> Delivery:
    """A delivery of these files; underscores in their names stand for dots."""
    named = {name.replace("_", "."): content for name, content in files.items()}
    digest = "sha256:" + "1" * 64
    return Delivery("bootparams", Carrier.TEMPLATE_DISK, digest, nonce, files=listed(named, nonce))


def mark_of(spec: VMSpec, **changes: Any) -> Mark:
    """A mark as create-vm gives it first."""
    return Mark("store", OPERATION, spec.uuid, template=spec.template.name, **changes)
