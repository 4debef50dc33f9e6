"""A pretended dom0 for a simulated Manager, and a client of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zeep

from tests.labs.ovm.agent import Agent
from tests.labs.ovm.dom0 import Dom0
from tests.labs.ovm.manager import Manager
from tests.labs.ovm.wire import SERVICES
from tests.xen.pretended import PretendedXen, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.ovm.manager import Authentication

IMAGE = b"\x55" * 65536


@dataclass(frozen=True)
class PretendedDom0:
    """A pretended dom0."""

    xen: PretendedXen

    @property
    def ovs(self) -> Path:
        """Its directory /OVS."""
        return self.xen.folder / "OVS"

    def agent(self) -> Agent:
        """What acts in it."""
        path = f"PATH={self.xen.xen}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Agent(Dom0(("env", path, "sh", "-c")), str(self.ovs), patience=1)

    def manager(self, authentication: Authentication | None = None) -> Manager:
        """A Manager; after another, one that goes on with what that has left."""
        directory = self.xen.folder / "manager"
        directory.mkdir(exist_ok=True)
        return Manager(directory, self.agent(), authentication=authentication)

    def seed(self, folder: Path, name: str = "tiny") -> Path:
        """The files of a template in a folder, as it would be in seed_pool."""
        folder.mkdir(parents=True)
        seed = self.ovs / "seed_pool" / name
        for file in ("System.img", "Bootparams.img", "vmlinuz"):
            (folder / file).write_bytes(IMAGE)
        (folder / "vm.cfg").write_text(
            f"name = '{name}'\nmemory = '64'\nbootloader = '/usr/bin/pygrub'\n"
            f"kernel = '{seed}/vmlinuz'\nextra = \"it's\"\nOVM_OS = 'tiny'\n"
            f"disk = ['file:{seed}/System.img,xvda,w', 'file:{seed}/Bootparams.img,xvdb,r']\n"
        )
        return folder


class Client:
    """A client that knows nothing but the WSDLs; and of those not the address."""

    def __init__(self, url: str, **options: Any) -> None:
        """Nothing is asked yet.

        Args:
            url: The Manager's address, without a path.
            options: More for zeep's client.
        """
        self.url, self._options = url, options
        self._unread = list(SERVICES)
        self._operations: dict[str, Any] = {}

    def __getattr__(self, operation: str) -> Any:
        while operation not in self._operations:
            name = self._unread.pop()
            client = zeep.Client(f"{self.url}/OVSWS/{name}.wsdl", **self._options)
            binding = f"{{http://oracle.ovs.api/}}{name}SoapHttp"
            service = client.create_service(binding, f"{self.url}/OVSWS/{name}")
            self._operations |= service._operations
        return self._operations[operation]

    def pool(self) -> Any:
        """The only pool."""
        (pool,) = self.getAllServerPools()
        return pool

    def vm(self, name: str = "web") -> Any:
        """The VM of that name."""
        return self.getVMByName("pool", name)

    def status(self, name: str = "web") -> str:
        """The status of the VM of that name."""
        return str(self.vm(name).status.status)

    def until(self, status: str, name: str = "web") -> None:
        """Wait for a status of the VM of that name."""
        wait_for(lambda: self.status(name) == status)

    def template(self) -> None:
        """Import the template whose folder is there."""
        self.importTemplate("pool", "tiny")
        wait_for(lambda: self.templates() == {"tiny": "Pending Approval"})
        self.approveTemplate("pool", "tiny")

    def templates(self) -> dict[str, str]:
        """The status of each template."""
        return {each.templateName: each.status for each in self.getAllTemplateResources("pool")}

    def create(self, name: str = "web", **changes: Any) -> None:
        """Order a VM, and wait until it is there."""
        self.order(name, **changes)
        self.until("POWEREDOFF", name)

    def order(self, name: str = "web", **changes: Any) -> None:
        """Order a VM."""
        order = {"vmName": name, "templateName": "tiny", "targetServerPool": self.pool()}
        order |= {"cpuNumber": 2, "memory": 96, "consolePassword": "s3cret"}
        self.createVmBasedOnTemplate(order | changes)
