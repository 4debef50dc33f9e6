"""A pretended dom0: IMS's own scripts, run here for real, with programs of Xen that only pretend.

The stubs keep "domains" as files (``stubs/xl``), and a real server speaks xenstore's protocol
(``xenstored.py``). Whatever a test does, two things must never come about: two domains of one VM,
and a guest that goes on with memory older than its disk; ``PretendedXen.check`` looks for both.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from ims_core.models import Carrier, Delivery, Interface, Mark, Template, VMSpec
from ims_core.undo import Undo
from ims_dom0.dom0 import Dom0
from ims_shell.local import LocalShell
from ims_xen import XenProvider
from ims_xen.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from ims_core.spi import ConsoleStream, Progress
    from ims_shell.shell import Answer

STUBS = Path(__file__).parent / "stubs"
SIZE = 64 << 10
OPERATION = "0123456789abcdef"
# What changes something between a script's steps; the shell's own redirections happen in between.
COUNTED = ("xl", "mv", "rm", "rmdir", "mkdir", "tar", "find", "cp", "truncate", "python3", "sleep")

_REAL = {
    "PATH=/usr/sbin:": "PATH={xen}/cuts:{xen}/bin:/usr/sbin:",
    "/var/log/xen/": "{xen}/log/",
    "/var/lock/": "{xen}/lock/",
    "/sys/class/net/*/bridge": "{xen}/net/*/bridge",
    "/sys/class/net/$2/bridge": "{xen}/net/$2/bridge",
    '("/run/xenstored/socket", "/var/run/xenstored/socket")': '("{xen}/xenstored",)',
}


class PretendedShell:
    """A shell on this machine in which a script finds the pretended programs.

    The scripts name everything of the system by its path, so those paths are replaced in the text.
    """

    def __init__(self, xen: Path) -> None:
        self._xen, self._shell = xen, LocalShell()
        self.patience = 20  # seconds for a lock, as the prelude has it

    @property
    def endpoint(self) -> str:
        return "dom0.example"

    def run(self, script: str, *arguments: str, stdin: bytes = b"", timeout: float) -> Answer:
        return self._shell.run(self.text(script), *arguments, stdin=stdin, timeout=timeout)

    def send(
        self,
        script: str,
        *arguments: str,
        source: BinaryIO,
        size: int,
        progress: Progress,
        idle: float,
    ) -> Answer:
        return self._shell.send(
            self.text(script), *arguments, source=source, size=size, progress=progress, idle=idle
        )

    def attach(self, script: str, *arguments: str, timeout: float) -> ConsoleStream:
        return self._shell.attach(self.text(script), *arguments, timeout=timeout)

    def close(self) -> None:
        self._shell.close()

    def text(self, script: str) -> str:
        """The script with this test's paths; never one that would find the real programs."""
        assert script.count("PATH=/usr/sbin:") == 1, "the prelude sets PATH in another way now"
        for real, pretended in _REAL.items():
            script = script.replace(real, pretended.format(xen=self._xen))
        return script.replace("flock -w 20 ", f"flock -w {self.patience} ")


class PretendedProvider(XenProvider):
    """The provider, with the pretended dom0 whose folder lies beside its own."""

    @classmethod
    def open(cls, settings: Mapping[str, Any]) -> Self:
        return cls(PretendedShell(Path(settings["directory"]).parent / "xen"), settings)


@dataclass
class PretendedXen:
    """A dom0 in a test's folder.

    Attributes:
        folder: The test's own.
    """

    folder: Path

    def __post_init__(self) -> None:
        for name in ("bin", "cuts", "domains", "ids", "disks", "guests", "lock", "log/console"):
            (self.xen / name).mkdir(parents=True)
        (self.xen / "net/xenbr0/bridge").mkdir(parents=True)
        for name in ("xl", "xenstore-ls", "xentop", "ip"):
            self.install(self.xen / "bin" / name, (STUBS / name).read_text())
        self.shell = PretendedShell(self.xen)
        self.dom0 = Dom0(self.shell, str(self.pool), script)
        self.settings = XenProvider.settings()(directory=str(self.pool)).model_dump()
        self.provider = PretendedProvider(self.shell, self.settings)

    @property
    def xen(self) -> Path:
        """Where the stubs keep what they pretend."""
        return self.folder / "xen"

    @property
    def pool(self) -> Path:
        """The directory that IMS is given."""
        return self.folder / "pool"

    def install(self, path: Path, text: str) -> None:
        """A program of the pretended dom0."""
        path.write_text(text.replace("@XEN@", str(self.xen)))
        path.chmod(0o755)

    # --- what IMS makes ---

    def template(self, **changes: Any) -> Template:
        """A template, in its place."""
        values: dict[str, Any] = {
            "name": "tiny",
            "format": "raw",
            "digest": "sha256:" + "0" * 64,
            "size": SIZE,
            "virtual_size": SIZE,
            "layout": "bootparams",
        }
        template = Template(**(values | changes))
        folder = self.pool / "templates" / template.name
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "disk").write_bytes(b"\x55" * SIZE)
            (folder / "manifest.json").write_text("{}")
        return template

    def spec(self, name: str = "web", **changes: Any) -> VMSpec:
        """An order for a VM."""
        values: dict[str, Any] = {
            "template": self.template(),
            "uuid": str(uuid4()),
            "memory": 64 << 20,
            "vcpus": 1,
            "disk": SIZE,
            "interfaces": (Interface("xenbr0", "00:16:3e:00:00:01"),),
        }
        return VMSpec(name=name, **(values | changes))

    def created(self, name: str = "web", **changes: Any) -> VMSpec:
        """A VM that is defined, and was told nothing by keys yet."""
        spec = self.spec(name, **changes)
        self.provider.create(spec, delivery(), mark(spec), Undo(OPERATION))
        return spec

    def started(self, name: str = "web", **changes: Any) -> VMSpec:
        """A VM that runs."""
        spec = self.created(name, **changes)
        self.provider.start(spec.uuid, None)
        return spec

    def suspended(self, name: str = "web") -> VMSpec:
        """A VM whose memory is saved."""
        spec = self.started(name)
        self.provider.suspend(spec.uuid)
        return spec

    # --- looking, by other means than the provider's ---

    def vm(self, name: str = "web") -> Path:
        """A VM's folder."""
        return self.pool / "vms" / name

    def files(self) -> set[str]:
        """All files of the pool, with every folder of VMs and of what is not whole yet."""
        found = {path for path in self.pool.rglob("*") if path.is_file()}
        for part in ("vms", "making"):
            found |= set((self.pool / part).glob("*"))
        return {str(path.relative_to(self.pool)) for path in found}

    def domains(self) -> list[dict[str, str]]:
        """All domains, each as the stub keeps it, with its id."""
        return [
            {"id": folder.name} | {path.name: path.read_text().strip() for path in folder.iterdir()}
            for folder in sorted((self.xen / "domains").glob("*[0-9]"))
        ]

    def letters(self) -> list[str]:
        """The state of each domain."""
        return [domain["letters"] for domain in self.domains()]

    def calls(self, verb: str) -> list[str]:
        """The arguments of each call of ``xl`` with that verb."""
        lines = (self.xen / "calls").read_text().splitlines() if self.has("calls") else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == verb]

    def check(self) -> None:
        """Nothing came about that must never be."""
        assert not self.has("corrupted"), "a guest went on with memory older than its disk"
        uuids = [domain["uuid"] for domain in self.domains()]
        assert len(uuids) == len(set(uuids)), "two domains of one VM"

    # --- meddling ---

    def has(self, name: str) -> bool:
        """Whether the pretended Xen has that file."""
        return (self.xen / name).exists()

    def tell(self, name: str, text: str = "") -> Path:
        """Write one of the files that the stubs obey: ``fail-VERB``, ``deaf``, …"""
        path = self.xen / name
        path.write_text(text)
        return path

    def foreign(self, name: str, letters: str = "-b----", **changes: str) -> str:
        """A domain that IMS did not make; its id."""
        number = str(900 + len(list((self.xen / "domains").iterdir())))
        folder = self.xen / "domains" / number
        folder.mkdir()
        values = {"uuid": str(uuid4()), "memory": "64", "vcpus": "1", "seconds": "1.5"}
        for key, value in (values | {"name": name, "letters": letters} | changes).items():
            (folder / key).write_text(f"{value}\n")
        return number

    def remove_foreign(self, number: str) -> None:
        """What ``xl destroy`` would do, if it is still there."""
        shutil.rmtree(self.xen / "domains" / number, ignore_errors=True)

    def without_store(self) -> None:
        """Have put_keys.py only noted in ``calls``; no xenstored is needed then, and it is fast."""
        self.install(
            self.xen / "bin/python3", '#!/bin/sh\ncat >/dev/null\necho "keys $2" >>@XEN@/calls\n'
        )

    def set_letters(self, letters: str) -> None:
        """What the only domain does now."""
        (domain,) = self.domains()
        (self.xen / "domains" / domain["id"] / "letters").write_text(f"{letters}\n")

    def keep(self) -> None:
        """Remember all of it as it is now, for :meth:`restore`."""
        for part in (self.pool, self.xen):
            shutil.copytree(part, self.folder / f"{part.name}.kept")

    def restore(self) -> None:
        """Have all of it as it was."""
        for part in (self.pool, self.xen):
            shutil.rmtree(part)
            shutil.copytree(self.folder / f"{part.name}.kept", part)

    def cut_at(self, step: int, more: tuple[str, ...] = ()) -> None:
        """From now on, end the scripts at this step; see ``stubs/wrapper``.

        Args:
            step: Its number, of those that all scripts from now on come to.
            more: Programs that count, besides those of the xen provider's scripts.
        """
        self.tell("steps", "0\n")
        self.tell("cut", f"{step}\n")
        text = (STUBS / "wrapper").read_text()
        for name in (*COUNTED, *more):
            stub = self.xen / "bin" / name
            real = str(stub) if stub.exists() else shutil.which(name)
            self.install(self.xen / "cuts" / name, text.replace("@PROGRAM@", str(real)))

    def cut_off(self) -> bool:
        """End that; whether the script was cut."""
        shutil.rmtree(self.xen / "cuts")
        (self.xen / "cuts").mkdir()
        return int((self.xen / "steps").read_text()) == int((self.xen / "cut").read_text())


@dataclass
class Gate:
    """A pipe at which a stub waits; whatever happens to the test, it is open at the end."""

    path: Path

    def __enter__(self) -> Self:
        os.mkfifo(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def open(self) -> None:
        """Let whoever waits there, or will, go on."""
        if self.path.exists():
            descriptor = os.open(self.path, os.O_RDWR)  # neither end waits for the other then
            self.path.unlink()
            os.close(descriptor)


def wait_for(happened: Callable[[], object], seconds: float = 10.0) -> None:
    """Until it has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.005)


def delivery(nonce: str = "", **values: str) -> Delivery:
    """A context by xenstore's keys; the bytes do not matter here."""
    return Delivery("bootparams", Carrier.XENSTORE, "sha256:" + "1" * 64, nonce, values=values)


def mark(spec: VMSpec, **changes: Any) -> Mark:
    """A mark as create-vm gives it first."""
    return Mark("store", OPERATION, spec.uuid, template=spec.template.name, **changes)
