"""What the variables of a template stand for.

``$VMID``, ``$NAME``, ``$UID``, ``$UNAME``, ``$GID``, ``$GNAME`` and ``$TEMPLATE`` are the VM's and
its owner's; any other ``$NAME`` is an attribute of the template. ``$NIC[…]``, ``$NETWORK[…]``,
``$IMAGE[…]`` and ``$USER[…]`` are looked up in what IMS knows, and the like of any other vector in
the template. An attribute ``TEMPLATE`` is XML, and comes in base64.

OpenNebula leaves a variable empty that it does not know. Here it is refused: a guest without its
address is harder to mend than a template. What is known to be empty is not unknown, and so is
``$USER[SSH_PUBLIC_KEY]``, which OpenNebula's own templates have for users with and without a key.

Source: OpenNebula's ``vm_var_syntax.y``; its manual, "Context Section".
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_bootparams.opennebula_template.references import Reference, split
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ims_bootparams.opennebula_template.syntax import Template

__all__ = ["MAX_CHARACTERS", "Facts", "Variables"]

MAX_CHARACTERS = 4 << 20
"""What all values of a context may come to; a short template can name a long value often."""

_EMPTY: Mapping[str, str] = MappingProxyType({})
_XML = "TEMPLATE"
_CHOSEN_BY = ("NETWORK", "NETWORK_ID", "NIC_ID", "IMAGE", "IMAGE_ID")
_NAMED_ONLY = ("NETWORK", "IMAGE")  # of these OpenNebula gives none that is not chosen
_MOST_SHOWN = 20
_SECRET = re.compile("PASS|SECRET|TOKEN")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the VM, of its surroundings and of its owner.

    Each mapping has names in upper case. A value that is empty is known to be nothing, such as the
    gateway of a network without one; a name that is missing is not known.

    Attributes:
        vmid: The VM's number, for ``$VMID``.
        name: The VM's name.
        uid: The owner's number.
        uname: The owner's name.
        gid: The number of the owner's group.
        gname: The name of the owner's group.
        nics: The VM's cards in order, each with ``NIC_ID`` and ``NETWORK``, ``IP``, ``MAC``, …;
            they have beside these what the template's ``NIC`` of that place says.
        networks: Each with ``NETWORK``, its name, and ``NETWORK_ID``, ``NETWORK_ADDRESS``,
            ``NETWORK_MASK``, ``GATEWAY``, ``DNS``, …
        images: Each with ``IMAGE``, its name, or ``IMAGE_ID``, and any others.
        user: The owner's attributes.
        files: For ``$FILE``: each with ``IMAGE``, its name, and ``PATH``, where it is here, and
            whatever it is to be found by: ``IMAGE_ID``, ``IMAGE_UNAME``, ``IMAGE_UID``.
        template_xml: The template as XML, for ``$TEMPLATE``.
        onegate_endpoint: Where OneGate listens; empty if it does not.
    """

    vmid: int
    name: str
    uid: int = 0
    uname: str = ""
    gid: int = 0
    gname: str = ""
    nics: Sequence[Mapping[str, str]] = ()
    networks: Sequence[Mapping[str, str]] = ()
    images: Sequence[Mapping[str, str]] = field(default=(), repr=False)
    user: Mapping[str, str] = field(default_factory=lambda: _EMPTY, repr=False)
    files: Sequence[Mapping[str, str]] = ()
    template_xml: str = field(default="", repr=False)
    onegate_endpoint: str = ""


class Variables:
    """What can stand for the variables of one template.

    Args:
        template: Its attributes can be named too.
        facts: What is known beside it.
    """

    __slots__ = ("_plain", "_tables")

    def __init__(self, template: Template, facts: Facts) -> None:
        """Make each lookup short: a template may have very many variables and vectors."""
        self._plain: dict[str, str] = {}
        vectors: dict[str, list[Mapping[str, str]]] = {}
        for each in template.attributes:
            if isinstance(each.value, str):
                self._plain.setdefault(each.name, each.value)
            elif each.name != "CONTEXT":
                vectors.setdefault(each.name, []).append(each.value)
        self._plain |= _of_vm(facts)
        cards = zip_longest(vectors.get("NIC", ()), facts.nics, fillvalue=_EMPTY)
        known = {
            "NIC": [{**wanted, **given} for wanted, given in cards],
            "NETWORK": facts.networks,
            "IMAGE": facts.images,
            "USER": [{"SSH_PUBLIC_KEY": "", **facts.user}],
        }
        self._tables = {name: _Table(records) for name, records in {**vectors, **known}.items()}

    def expand(self, name: str, text: str, room: int) -> str:
        """A value with what its variables stand for; what comes in is not looked at again.

        Args:
            name: The value's, for errors.
            text: As the template has it.
            room: Characters that it may come to.

        Raises:
            InvalidError: A variable is not known, or is written wrongly, or there is no room.
        """
        pieces = []
        for part in split(name, text):
            piece = self._stands_for(name, part) if isinstance(part, Reference) else part
            room -= len(piece)
            if room < 0:
                raise InvalidError(
                    f"{name}: with it the values of CONTEXT have more than {MAX_CHARACTERS}"
                    " characters",
                    code="context-too-large",
                    hint="Name $TEMPLATE and other long values less often.",
                )
            pieces.append(piece)
        return "".join(pieces)

    def _stands_for(self, name: str, reference: Reference) -> str:
        if reference.is_lone:
            if reference.name in self._plain:
                return self._plain[reference.name]
            raise _unknown(name, reference, "is not known", self._plain)
        if not reference.attribute or len(reference.where) > 1:
            problem = "needs one attribute, and at most one key"
            raise _unknown(name, reference, problem, ("[ATTRIBUTE]", '[ATTRIBUTE, KEY="value"]'))
        record = self._record(name, reference)
        if reference.attribute not in record:
            raise _unknown(name, reference, f"has no {reference.attribute}", record)
        value = record[reference.attribute]
        return _in_base64(value) if reference.attribute == _XML else value

    def _record(self, name: str, reference: Reference) -> Mapping[str, str]:
        table = self._tables.get(reference.name)
        if table is None or not table.records:
            known = (each for each, table in self._tables.items() if table.records)
            raise _unknown(name, reference, f"names no {reference.name} that is known", known)
        if not reference.where:
            if reference.name in _NAMED_ONLY:
                problem = f"does not say of which {reference.name}"
                raise _unknown(name, reference, problem, table.names)
            return table.records[0]
        [(key, value)] = reference.where
        record = table.having(key, value)
        if reference.name == "NETWORK" and key == "NIC_ID":
            card = self._tables["NIC"].having(key, value)
            record = card and table.having("NETWORK", card.get("NETWORK", ""))
        if record is None:
            problem = f"names no {reference.name} that is known"
            raise _unknown(name, reference, problem, table.names)
        return record


class _Table:
    """Records, and the first of them for each thing that they say."""

    __slots__ = ("_first", "records")

    def __init__(self, records: Sequence[Mapping[str, str]]) -> None:
        self.records = records
        self._first: dict[tuple[str, str], Mapping[str, str]] = {}
        for record in records:
            for item in record.items():
                self._first.setdefault(item, record)

    def having(self, key: str, value: str) -> Mapping[str, str] | None:
        return self._first.get((key, value))

    @property
    def names(self) -> list[str]:
        """By what a record can be chosen; other things that one says may be secret."""
        return [f"{key}={value}" for key, value in self._first if key in _CHOSEN_BY]


def _of_vm(facts: Facts) -> dict[str, str]:
    known = {
        "VMID": str(facts.vmid),
        "NAME": facts.name,
        "UID": str(facts.uid),
        "UNAME": facts.uname,
        "GID": str(facts.gid),
        "GNAME": facts.gname,
    }
    return known | {_XML: _in_base64(facts.template_xml)} if facts.template_xml else known


def _in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _unknown(name: str, reference: Reference, problem: str, known: Iterable[str]) -> InvalidError:
    # A lone name may be a part of a password that holds a dollar sign.
    shown = "a variable in it" if reference.is_lone and _SECRET.search(name) else str(reference)
    words = sorted(known)
    more = ", …" if len(words) > _MOST_SHOWN else ""
    hint = f"There is: {', '.join(words[:_MOST_SHOWN])}{more}." if words else "There is none."
    return InvalidError(f"{name}: {shown} {problem}", hint=hint)
