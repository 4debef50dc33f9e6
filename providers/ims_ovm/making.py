"""Making and unmaking a VM: the Manager's part, and what lies beside it in the repository."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from secrets import choice
from typing import TYPE_CHECKING, Any

from ims_core.errors import ConflictError, HypervisorError, NotFoundError
from ims_core.spi import Discarded
from ims_dom0.dom0 import MAKING_SECONDS, Dom0
from ims_dom0.vmcfg import macs_of, parse
from ims_ovm import looking
from ims_ovm.bootparams import IMAGE, MAX_IMAGE, properties, rebuilt, unzipped
from ims_ovm.definition import CONFIG, own_disks, vm_config
from ims_ovm.manager import Manager, watch
from ims_ovm.record import Record, write_record
from ims_ovm.wire.statuses import Status
from ims_shell.archive import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Delivery, Mark, VMSpec
    from ims_core.spi import UndoLog
    from ims_ovm.looking import Found
    from ims_ovm.manager import Image

__all__ = ["Maker"]

_CONSOLE_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_CONSOLE_LENGTH = 8  # VNC takes no more
_CONF = "bootparams.conf"
_RECORD = "vm.json"
_OFF_SECONDS = 300.0
_PASSWORD = re.compile(r"vncpasswd=([A-Za-z0-9]+)")


@dataclass(frozen=True, slots=True)
class _Folder:
    """A VM's folder as the Manager made it."""

    name: str
    files: frozenset[str]
    config: str = field(repr=False)
    image: bytes = field(repr=False)


class Maker:
    """Makes VMs in one server pool, and takes them away again."""

    def __init__(self, manager: Manager, dom0: Dom0, settings: Mapping[str, Any]) -> None:
        """Nothing is asked yet."""
        self._manager = manager
        self._dom0 = dom0
        self._strategy = settings["bootparams"]
        self._rewrite_macs = settings["rewrite_macs"]

    # --- making ---

    def refuse_namesake(self, name: str) -> None:
        """Refuse a name that a VM of the server pool has."""
        if self._manager.find(name) is not None:
            raise ConflictError(
                f"there is a VM {name!r} already",
                code="vm-exists",
                vm=name,
                hint="choose another name, or `ims list-vms --all` to see whose it is",
            )

    def create(self, spec: VMSpec, delivery: Delivery, mark: Mark, undo: UndoLog) -> None:
        """Have the Manager make it, and put our mark and the delivery beside it.

        The Manager takes no id of ours. So what it makes is known by the password of its console,
        which we choose, until its mark is there; whoever knows the announcement recognizes it, at
        any later time, but cannot guess it.
        """
        if self._strategy == "manager":
            properties(delivery)  # what it cannot carry is refused before anything is made
        self.refuse_namesake(spec.name)
        password = "".join(choice(_CONSOLE_CHARACTERS) for _ in range(_CONSOLE_LENGTH))
        ordered = f"{spec.name}/{undo.operation}/{_fingerprint(password, undo.operation)}"
        undo.announce("order", ordered)
        undo.announce("vm", spec.uuid)
        try:
            image = self._manager.create(spec, password)
        except HypervisorError:
            self._refuse_others(ordered)
            raise
        self._refuse_others(ordered)
        record = self._claim(spec, image, mark, delivery)
        if self._strategy != "replace":
            self.deliver(record, image, delivery)

    def deliver(self, record: Record, image: Image, delivery: Delivery) -> None:
        """Put a delivery onto the disk of a VM that is off, and the record beside it."""
        subject = f"VM {image.name}"
        files: dict[str, bytes] = {}
        if self._strategy == "replace":
            folder = self._folder(image, most=MAX_IMAGE)
            files[IMAGE] = rebuilt(folder.image, delivery.files)
        elif self._strategy == "mount":
            self._dom0.call(
                "mount",
                record.mark.vm,
                record.image,
                IMAGE,
                stdin=pack(delivery.files),
                subject=subject,
                timeout=MAKING_SECONDS,
            )
        else:
            self._manager.put_properties(image, _CONF, properties(delivery))
        self.put(record, files)

    def put(self, record: Record, files: Mapping[str, bytes] | None = None) -> None:
        """Replace a VM's record, and files of its folder before."""
        self._dom0.call(
            "put",
            record.mark.vm,
            record.image,
            stdin=pack({**(files or {}), _RECORD: write_record(record)}),
            subject=f"VM {record.vm_name}",
            timeout=MAKING_SECONDS,
        )

    def adopt(self, vm: str, mark: Mark) -> None:
        """Give the VM of that UUID of the Manager's a record."""
        image = next((each for each in self._manager.images() if each.uuid == vm), None)
        if image is None:
            raise NotFoundError(f"there is no VM {vm!r}", code="vm-not-found", vm=vm)
        folder = self._folder(image, most=0)
        # Whether it ever ran, nobody knows; it is not one that IMS has just defined.
        record = replace(self._record(folder, image, mark, folder.config), started=True)
        self._dom0.call(
            "adopt",
            folder.name,
            image.uuid,
            stdin=pack({_RECORD: write_record(record)}),
            subject=f"VM {image.name}",
        )

    # --- unmaking ---

    def keep_receipt(self, record: Record) -> None:
        """Keep the guest's answer, which goes with its domain."""
        self._dom0.call("keep", record.mark.vm, record.image, subject=f"VM {record.vm_name}")

    def delete(self, found: Found) -> None:
        """Have the Manager delete a VM, and remove what that leaves."""
        record, image = found.record, found.image
        subject = f"VM {found.name}"
        if image is not None:
            if image.status is Status.SUSPENDED and not record.mark.operation:
                raise ConflictError(
                    f"{subject}: it is suspended to disk, and that memory is its owner's",
                    code="vm-suspended",
                    hint="resume it and shut it down first",
                )
            image = self._turned_off(image, subject)
        self._dom0.call(
            "deleting", record.mark.vm, record.image, subject=subject, timeout=MAKING_SECONDS
        )
        if image is not None:
            self._manager.delete(image, subject=subject)
        self._dom0.call(
            "removed", record.mark.vm, record.name, subject=subject, timeout=MAKING_SECONDS
        )

    def discard_vm(self, vm: str, operation: str) -> Discarded:
        """Delete a VM that this operation made."""
        try:
            found = looking.find(self._manager, self._dom0, vm)
        except NotFoundError:
            return Discarded.ABSENT
        if found.record.mark.operation != operation:
            return Discarded.NOT_OURS
        self.delete(found)
        return Discarded.REMOVED

    def discard_order(self, ordered: str) -> Discarded:
        """Delete what the Manager has made of an order, as it was announced."""
        image = self._made_of(ordered)
        if image is None:
            return Discarded.ABSENT
        subject = f"VM {image.name}"
        image = self._turned_off(image, subject)
        if image is not None:
            self._manager.delete(image, subject=subject)
        return Discarded.REMOVED

    # --- parts ---

    def _claim(self, spec: VMSpec, image: Image, mark: Mark, delivery: Delivery) -> Record:
        """Make the VM that the Manager made ours: its cards, its disk, our mark."""
        replaces = self._strategy == "replace"
        folder = self._folder(image, most=MAX_IMAGE if replaces else 0)
        place = f"{self._dom0.directory}/running_pool/{folder.name}"
        config = vm_config(folder.config, spec, place, folder.files, cards=self._rewrite_macs)
        _check_macs(config, spec)
        record = replace(self._record(folder, image, mark, config), cards=spec.interfaces)
        files = {CONFIG: config.encode()}
        if replaces:
            files[IMAGE] = rebuilt(folder.image, delivery.files)
        self._dom0.call(
            "claim",
            folder.name,
            image.uuid,
            stdin=pack({**files, _RECORD: write_record(record)}),
            subject=f"VM {spec.name}",
            timeout=MAKING_SECONDS,
        )
        return record

    def _record(self, folder: _Folder, image: Image, mark: Mark, config: str) -> Record:
        place = f"{self._dom0.directory}/running_pool/{folder.name}"
        return Record(
            name=folder.name,
            image=image.uuid,
            vm_name=image.name,
            mark=mark,
            disks=(CONFIG, *own_disks(config, place)),
        )

    def _folder(self, image: Image, *, most: int) -> _Folder:
        told = self._dom0.ask(
            "fetch",
            image.uuid,
            IMAGE,
            str(most),
            subject=f"VM {image.name}",
            timeout=MAKING_SECONDS,
        )
        return _Folder(
            name=told["folder"].decode(),
            files=frozenset(told["files"].decode(errors="replace").splitlines()),
            config=told["config"].decode(errors="replace"),
            image=unzipped(told["image"]) if most else b"",
        )

    def _refuse_others(self, ordered: str) -> None:
        """Refuse a namesake that came while we ordered ours."""
        name = ordered.partition("/")[0]
        found = [self._is_made_of(each, ordered) for each in self._namesakes(name)]
        if found and all(each is False for each in found):
            self.refuse_namesake(name)

    def _made_of(self, ordered: str) -> Image | None:
        """What the Manager has made of an order."""
        namesakes = self._namesakes(ordered.partition("/")[0])
        return next((each for each in namesakes if self._is_made_of(each, ordered)), None)

    def _namesakes(self, name: str) -> list[Image]:
        return [each for each in self._manager.images() if each.name == name]

    def _is_made_of(self, image: Image, ordered: str) -> bool | None:
        """Whether the Manager made a VM of an order; None where nothing tells."""
        _, operation, fingerprint = ordered.split("/")
        told = [_fingerprint(word, operation) == fingerprint for word in self._words(image)]
        return any(told) if told else None

    def _words(self, image: Image) -> list[str]:
        """What may be the password of its console."""
        if image.password:
            return [image.password]
        # The Manager does not tell; it wrote it into the VM's file, at last.
        settled = self._settled(image, f"VM {image.name}")
        try:
            config = self._folder(image, most=0).config if settled else ""
        except NotFoundError:
            return []  # it did not come as far
        return _PASSWORD.findall(config)

    def _settled(self, image: Image, subject: str) -> Image | None:
        """The VM once the Manager is no longer at work on it; None once it has it no longer."""
        return watch(
            lambda: next((each for each in self._manager.images() if each.id == image.id), None),
            lambda each: each is None or not each.status.passing,
            MAKING_SECONDS,
            f"{subject}: the Manager is still at work on it",
        )

    def _turned_off(self, image: Image, subject: str) -> Image | None:
        """The VM once it is off; None once the Manager has it no longer."""
        now = self._settled(image, subject)
        if now is None or now.status is Status.POWEREDOFF:
            return now
        # Whether one runs of which an action failed, is not told; it may not be there at all.
        with suppress(*((HypervisorError,) if now.status is Status.ERROR else ())):
            self._manager.change("power_off", now, Status.POWEREDOFF, _OFF_SECONDS, subject=subject)
        return now


def _fingerprint(password: str, operation: str) -> str:
    """What tells a password from others without telling it; dear, since a password is short."""
    salt = operation.encode()
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=16).hex()


def _check_macs(config: str, spec: VMSpec) -> None:
    chosen, ordered = macs_of(parse(config)), [card.mac.lower() for card in spec.interfaces]
    if chosen != ordered:
        raise HypervisorError(
            f"VM {spec.name}: the Manager gave its cards the MACs {', '.join(chosen) or 'none'},"
            f" and was told {', '.join(ordered)}",
            code="other-macs",
            hint="let the pool's `rewrite_macs` be true",
        )
