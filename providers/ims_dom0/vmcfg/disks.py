"""One entry of ``disk`` in a domain configuration file, as xl-disk-configuration(5) has it.

An entry is a row of parameters between commas: ``key=value``, flags, and words without ``=``, which
are, in this order, ``target``, ``format``, ``vdev`` and ``access``. xm's form ``file:PATH,xvda,w``
has a prefix and, because of it, no ``format``. The last parameter may be ``target=``, which takes
the rest of the entry, commas and all; that is the only form in which a path may hold them.

What is read here is what xl makes of it (Xen's libxlu_disk_l.l and libxlu_disk.c). A parameter that
xl knows and :class:`Disk` does not is refused, so that none is lost when the entry is written anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias, TypeVar

from ims_core.errors import InvalidError

__all__ = ["Access", "Disk", "Format", "Kind", "parse_disk", "write_disk"]

Format: TypeAlias = Literal["raw", "qcow", "qcow2", "vhd", "qed", "empty"]
Access: TypeAlias = Literal["ro", "rw"]
Kind: TypeAlias = Literal["disk", "cdrom"]

_T = TypeVar("_T", bound=str)


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a VM.

    Attributes:
        target: Path in the dom0; empty for a CD drive without a CD, and only then.
        format: How ``target`` holds the disk; ``empty`` when it is empty.
        vdev: The disk's name in the guest, such as ``xvda`` (xen-vbd-interface(7)).
        access: Whether the guest may write; always ``ro`` for a CD drive.
        kind: A disk or a CD drive.
    """

    target: str
    format: Format
    vdev: str
    access: Access = "rw"
    kind: Kind = "disk"


_FORMATS: dict[str, Format] = {
    "": "raw",
    "raw": "raw",
    "qcow": "qcow",
    "qcow2": "qcow2",
    "vhd": "vhd",
    "qed": "qed",
    "empty": "empty",
}
_ACCESSES: dict[str, Access] = {"": "rw", "rw": "rw", "w": "rw", "ro": "ro", "r": "ro"}
_KINDS: dict[str, Kind] = {"disk": "disk", "cdrom": "cdrom"}
# xl drops these prefixes; those that name a format set it.
_PREFIX = re.compile(r"(?:(raw|qcow2?|vhd)|file|phy|tap2?|tapdisk|aio|ioemu):")
_FOREIGN_PREFIX = re.compile(r"(?:(?:iscsi|e?nbd|drbd):|[a-z][a-z0-9]*:(?![a-z0-9]))")
_FLAGS = frozenset({"direct-io-safe", "discard", "no-discard", "colo", "no-colo"})
_VDEV = re.compile(r"[a-z][a-z0-9]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def parse_disk(text: str) -> Disk:
    """Read an entry of xm's or xl's ``disk``.

    Args:
        text: The entry, without its quotes.

    Returns:
        The disk that xl would give to the VM.

    Raises:
        InvalidError: xl would refuse the entry, or it has something that :class:`Disk` has not.
    """
    if _CONTROL.search(text):
        _refuse(text, "has a control character")
    return _Entry(text).disk()


def write_disk(disk: Disk) -> str:
    """The entry for xl's ``disk`` that means this disk.

    Raises:
        InvalidError: No entry can: the target ends with a comma, which xl would cut off, or has a
            control character; or the fields contradict each other.
    """
    entry = (
        f"format={disk.format},vdev={disk.vdev},access={disk.access},devtype={disk.kind},"
        f"target={disk.target}"
    )
    if disk.target.endswith(","):
        _refuse(entry, "has a target that ends with a comma, which xl would cut off")
    if parse_disk(entry) != disk:
        _refuse(entry, "contradicts itself: only a CD drive is empty, and none is writable")
    return entry


class _Entry:
    """The parameters found so far; None is for those that were not."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._target: str | None = None
        self._format: Format | None = None
        self._vdev: str | None = None
        self._access: Access | None = None
        self._kind: Kind | None = None
        self._prefixed = False

    def disk(self) -> Disk:
        """Read all parameters, and put together what they say."""
        rest = self._text
        while rest := rest.lstrip(" \t"):
            if rest.startswith("target="):
                self._once("target", self._target)
                self._target = rest.removeprefix("target=").removesuffix(",")
                break
            parameter, _, rest = rest.partition(",")
            self._parameter(parameter)
        if not self._vdev:
            _refuse(self._text, "has no vdev, the disk's name in the guest")
        if not _VDEV.fullmatch(self._vdev):
            _refuse(self._text, f"has the vdev {self._vdev!r}, which is no device name")
        kind = self._kind or "disk"
        if not self._target and (kind == "disk" or self._format not in {None, "empty"}):
            _refuse(self._text, "has no target, and is not an empty CD drive")
        if self._target and self._format == "empty":
            _refuse(self._text, "is empty and has a target")
        return Disk(
            target=self._target or "",
            format=(self._format or "raw") if self._target else "empty",
            vdev=self._vdev,
            access="ro" if kind == "cdrom" else self._access or "rw",
            kind=kind,
        )

    def _parameter(self, parameter: str) -> None:
        name, equals, value = parameter.partition("=")
        if parameter == "cdrom":
            self._set_kind("cdrom")
        elif parameter in _FLAGS:
            _refuse(self._text, f"has the flag {parameter!r}, which IMS does not know")
        elif not equals:
            self._word(parameter)
        elif name == "format":
            self._set_format(value)
        elif name == "vdev":
            self._set_vdev(value)
        elif name == "access":
            self._set_access(value)
        elif name == "devtype":
            self._set_kind(value)
        else:
            _refuse(self._text, f"has the parameter {name!r}, which IMS does not know")

    def _word(self, word: str) -> None:
        """A parameter without a name: what it is depends on those before, as in libxlu_disk_l.l."""
        while prefix := _PREFIX.match(word):
            self._prefixed = True
            word = word[prefix.end() :].lstrip(" \t")
            if prefix[1]:
                self._set_format(prefix[1])
        if _FOREIGN_PREFIX.match(word):
            _refuse(self._text, f"has a prefix that IMS does not know: {word.split(':')[0]!r}")
        if self._target is None:
            self._target = word
        elif self._format is None and not self._prefixed and not (not self._target and ":" in word):
            self._set_format(word)
        elif self._vdev is None:
            vdev, colon, kind = word.partition(":")
            self._set_vdev(vdev)
            if colon:
                self._set_kind(kind)
            if colon and not self._target and self._format is None:
                self._format = "empty"  # ",hdc:cdrom,r" leaves the format out
        else:
            self._set_access(word)

    def _set_format(self, value: str) -> None:
        self._once("format", self._format)
        self._format = self._known(_FORMATS, "format", value)

    def _set_vdev(self, value: str) -> None:
        self._once("vdev", self._vdev)
        self._vdev = value

    def _set_access(self, value: str) -> None:
        if value == "w!":
            _refuse(self._text, "is shared for writing (w!), for which xl has no word")
        self._once("access", self._access)
        self._access = self._known(_ACCESSES, "access", value)

    def _set_kind(self, value: str) -> None:
        self._once("devtype", self._kind)
        self._kind = self._known(_KINDS, "devtype", value)

    def _once(self, name: str, value: str | None) -> None:
        if value is not None:
            _refuse(self._text, f"says its {name} twice")

    def _known(self, known: dict[str, _T], name: str, value: str) -> _T:
        if value not in known:
            _refuse(self._text, f"has the {name} {value!r}, which xl does not know")
        return known[value]


def _refuse(text: str, why: str) -> NoReturn:
    raise InvalidError(
        f"the disk {text[:200]!r} {why}",
        hint="write it as: format=raw,vdev=xvda,access=rw,target=/PATH (xl-disk-configuration(5))",
    )
