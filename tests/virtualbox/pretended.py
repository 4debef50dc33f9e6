"""A pretended VirtualBox host: what the provider's scripts would print there, by recorded text.

It is for what no lab can provoke: rare states, locked machines, leases, hostile texts. It keeps
nothing but states; whether VBoxManage does what it is told is for the labs to say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from ims_shell.archive import pack
from ims_shell.shell import Answer
from ims_virtualbox import VirtualBoxProvider
from ims_virtualbox.scripts import script
from ims_virtualbox.vboxmanage.states import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from ims_core.spi import ConsoleStream, Progress

HOME = "/home/ims/.config/VirtualBox"
POOL = "/pool"
OPERATION = "0123456789abcdef"
MAC = "08:00:27:aa:bb:cc"
UUIDS = [f"{digit * 8}-1111-2222-3333-444444444444" for digit in "abcdef"]
SCRIPTS = (
    *("registry", "documents", "evidence", "vboxmanage", "keep", "put", "drop", "secretly"),
    *("register", "metrics", "sample", "forgotten", "remove", "never_ran", "console"),
)
CARD = (
    '<Network><Adapter slot="0" enabled="true" MACAddress="080027AABBCC">'
    '<NAT><Forwarding name="ims-ssh" proto="1" hostip="127.0.0.1" hostport="2200" guestport="22"/>'
    "</NAT></Adapter></Network>"
)


def settings_file(
    uuid: str,
    name: str,
    *,
    attributes: str = "",
    hardware: str = CARD,
    extra: Mapping[str, str] | None = None,
    body: str = "",
) -> bytes:
    """A machine's settings, as VirtualBox 7 writes them."""
    items = "".join(
        f"<ExtraDataItem name={quoteattr(key)} value={quoteattr(value)}/>"
        for key, value in (extra or {}).items()
    )
    return (
        '<?xml version="1.0"?>\n<VirtualBox xmlns="http://www.virtualbox.org/"'
        f' version="1.19-linux"><Machine uuid="{{{uuid}}}" name={quoteattr(name)} {attributes}>'
        f'{body}<ExtraData>{items}</ExtraData><Hardware><Memory RAMSize="512"/>'
        f'<CPU count="2"/>{hardware}</Hardware></Machine></VirtualBox>'
    ).encode()


@dataclass
class Machine:
    """A machine of the host.

    Attributes:
        states: What VBoxManage says of its state, one after another; the last stays.
        content: Of its settings file; None if that is not there.
    """

    uuid: str = UUIDS[0]
    name: str = "web"
    states: deque[str] = field(default_factory=lambda: deque(["poweroff"]))
    content: bytes | None = None
    ran: bool = True
    properties: str = ""
    sent: bytes = b""
    description: str = ""

    def __post_init__(self) -> None:
        if self.content is None:
            self.content = settings_file(self.uuid, self.name)

    @property
    def folder(self) -> str:
        return f"{self.file}-{self.uuid[:8] * 2}"

    @property
    def file(self) -> str:
        """Its name in paths, in which VirtualBox has no odd signs."""
        return "".join(sign if sign.isalnum() or sign in "-. " else "_" for sign in self.name)

    @property
    def path(self) -> str:
        return f"{POOL}/vms/{self.folder}/{self.file}/{self.file}.vbox"

    @property
    def is_held(self) -> bool:
        """Whether a process runs it."""
        off = ("poweroff", "saved", "teleported", "aborted", "aborted-saved")
        return self.states[0] not in off

    def listed(self) -> str:
        """Its part of ``list runningvms --long``."""
        known = STATES.get(self.states[0])
        state = known.listed if known else self.states[0]
        return (
            f"Name:                        {self.name}\n"
            "Groups:                      /\n"
            f"UUID:                        {self.uuid}\n"
            f"Config file:                 {self.path}\n"
            f"Hardware UUID:               {self.uuid}\n"
            f"State:                       {state} (since 2026-11-22T06:02:34.913000000)\n"
            f"Description:\n{self.description}\n\n"
        )


class PretendedHost:
    """A shell in whose place this answers, and keeps what VBoxManage was asked."""

    def __init__(self, *machines: Machine) -> None:
        self.machines = list(machines)
        self.asked: list[tuple[str, ...]] = []
        self.ran: list[str] = []
        self.secret = b""
        self.leases = b""
        self.now = 1_000_000
        self.refusals: dict[str, deque[str]] = {}
        self.lists: dict[str, str] = {}
        self.samples = ""
        self.times = ""
        self.left: dict[str, bytes] = {}
        self.absent: set[str] = set()
        self._names = {script(name): name for name in SCRIPTS}

    @property
    def endpoint(self) -> str:
        return "virtualbox.example"

    def provider(self, **settings: object) -> VirtualBoxProvider:
        """The provider with this host."""
        model = VirtualBoxProvider.settings()(**{"directory": POOL, **settings})
        return VirtualBoxProvider(self, model.model_dump())

    def run(self, script: str, *arguments: str, stdin: bytes = b"", timeout: float) -> Answer:
        assert timeout > 0
        name = self._names[script]
        self.ran.append(name)
        if name in ("vboxmanage", "register"):
            return self._vboxmanage(arguments[3:])
        if name == "secretly":
            self.secret = stdin
        sections = getattr(self, f"_{name}", lambda *_: b"")(arguments[1:], stdin)
        return Answer(0, sections, "")

    def send(
        self,
        script: str,
        *arguments: str,
        source: BinaryIO,
        size: int,
        progress: Progress,
        idle: float,
    ) -> Answer:
        raise NotImplementedError

    def attach(self, script: str, *arguments: str, timeout: float) -> ConsoleStream:
        raise NotImplementedError

    def close(self) -> None:
        pass

    # --- what the scripts print ---

    def _vboxmanage(self, words: Sequence[str]) -> Answer:
        self.asked.append(tuple(words))
        for begin, errors in self.refusals.items():
            if errors and " ".join(words).startswith(begin):
                return Answer(1, b"", errors.popleft())
        if words[0] == "showvminfo":
            states = self._machine(words[1]).states
            state = states.popleft() if len(states) > 1 else states[0]
            return Answer(0, f'name="x"\nVMState="{state}"\n'.encode(), "")
        if words[0] == "list":
            return Answer(0, self.lists.get(words[1], "").encode(), "")
        return Answer(0, b"", "")

    def _machine(self, uuid: str) -> Machine:
        return next(each for each in self.machines if each.uuid == uuid)

    def _registry(self, arguments: Sequence[str], _: bytes) -> bytes:
        held = [each for each in self.machines if each.is_held]
        processes = (
            f"/usr/lib/virtualbox/VBoxHeadless --comment {each.name} --startvm {each.uuid}"
            " --vrde config\n"
            for each in held
        )
        entries = "".join(
            f'<MachineEntry uuid="{{{each.uuid}}}" src={quoteattr(each.path)}/>'
            for each in self.machines
        )
        registry = (
            '<VirtualBox xmlns="http://www.virtualbox.org/"><Global><MachineRegistry>'
            f"{entries}</MachineRegistry></Global></VirtualBox>"
        )
        return sections(
            arguments[0],
            running="".join(each.listed() for each in held),
            processes="".join(processes),
            home=HOME + "\n",
            registry=registry,
        )

    def _documents(self, arguments: Sequence[str], stdin: bytes) -> bytes:
        wanted = set(stdin.decode().splitlines())
        files = {
            each.path: each.content
            for each in self.machines
            if each.path in wanted and each.content is not None and each.uuid not in self.absent
        }
        self.absent.clear()  # a moment later the new file stands there
        ran = "".join(f"{each.path}\n" for each in self.machines if each.ran)
        there = "".join(f"{POOL}/vms/{each.folder}/root.vdi\n" for each in self.machines)
        return sections(arguments[0], documents=pack(files), ran=ran, there=there, listening="")

    def _evidence(self, arguments: Sequence[str], _: bytes) -> bytes:
        boundary, *rest = arguments
        told: dict[str, str | bytes] = {}
        for uuid, _folder, state in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            told[f"receipt {uuid}"] = self._machine(uuid).sent
            if state == "running":
                told[f"properties {uuid}"] = self._machine(uuid).properties
        return sections(boundary, **told, now=f"{self.now}\n", leases=self.leases)

    def _metrics(self, arguments: Sequence[str], _: bytes) -> bytes:
        return sections(arguments[0], samples=self.samples, processes=self.times)

    def _forgotten(self, _: Sequence[str], __: bytes) -> bytes:
        return pack({f"./{path}": content for path, content in self.left.items()})

    def _remove(self, arguments: Sequence[str], _: bytes) -> bytes:
        self.asked.append(("remove", *arguments))
        return b"removed\n"


class Undo:
    """An undo log that nobody reads."""

    operation = OPERATION

    def __init__(self) -> None:
        self.announced: list[tuple[str, str]] = []

    def announce(self, kind: str, name: str) -> None:
        self.announced.append((kind, name))

    def retract(self, kind: str, name: str) -> None:
        raise NotImplementedError


def sections(boundary: str, **parts: str | bytes) -> bytes:
    """What a script prints for ``ask``."""
    return b"".join(
        f"{boundary} {name}\n".encode() + (part if isinstance(part, bytes) else part.encode())
        for name, part in parts.items()
    )


def running(state: str = "running", **values: object) -> Machine:
    """A machine that a process runs."""
    return Machine(states=deque([state]), **values)  # type: ignore[arg-type]
