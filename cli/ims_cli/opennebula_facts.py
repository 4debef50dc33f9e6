"""The file of facts: what a template of OpenNebula may name and IMS does not know."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Known", "known_from"]

_TABLES = ("network", "image", "file")
_WORDS = ("vmid", "onegate_endpoint", "user", *_TABLES)
_OPTION = "--opennebula-facts"
_Table = tuple["Mapping[str, str]", ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What the file of facts says; every name in upper case.

    Attributes:
        vmid: For ``$VMID``; made from the VM's UUID if it is None.
        onegate_endpoint: Where OneGate listens.
        user: The owner's attributes.
        networks: As :class:`~ims_bootparams.opennebula_template.Facts` has them, and the next too.
        images: The same.
        files: The same.
    """

    vmid: int | None = None
    onegate_endpoint: str = ""
    user: Mapping[str, str] = field(default_factory=dict, repr=False)
    networks: _Table = ()
    images: _Table = field(default=(), repr=False)
    files: _Table = ()

    def name_here(self, network: str) -> str:
        """What IMS calls a network: ``IMS`` of its record, or the same."""
        return next(
            (each.get("IMS", network) for each in self.networks if each.get("NETWORK") == network),
            network,
        )

    def name_there(self, network: str) -> str:
        """What the template calls a network of IMS."""
        return next(
            (each.get("NETWORK", network) for each in self.networks if each.get("IMS") == network),
            network,
        )


def known_from(content: bytes) -> Known:
    """Read the file.

    Raises:
        InvalidError: It is not TOML, or has what is not known; the message names it.
    """
    try:
        data = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidError(
            f"{_OPTION}: it is not TOML: {error}", hint="See docs/opennebula-template.md."
        ) from None
    if unknown := set(data) - {*_WORDS}:
        words = ", ".join(_WORDS)
        raise InvalidError(f"{_OPTION}: {min(unknown)!r} is not known", hint=f"There is: {words}.")
    vmid = data.get("vmid")
    if vmid is not None and (type(vmid) is not int or vmid < 0):
        raise InvalidError(f"{_OPTION}: vmid is no number", hint="Write vmid = 7.")
    tables = {
        name: tuple(_record(f"{_OPTION}: {name}", each) for each in _list(name, data))
        for name in _TABLES
    }
    return Known(
        vmid,
        str(data.get("onegate_endpoint", "")),
        _record(f"{_OPTION}: user", data.get("user", {})),
        tables["network"],
        tables["image"],
        tables["file"],
    )


def _list(name: str, data: Mapping[str, Any]) -> list[Any]:
    value = data.get(name, [])
    if not isinstance(value, list):
        raise InvalidError(f"{_OPTION}: {name} is no list of tables", hint=f"Write [[{name}]].")
    return value


def _record(field: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InvalidError(f"{field} is no table", hint='Write NAME = "value" lines below it.')
    for name, each in value.items():
        if not isinstance(each, str | int) or isinstance(each, bool):
            raise InvalidError(
                f"{field}: {name} is neither text nor a whole number", hint="Put it into quotes."
            )
    return {str(name).upper(): str(each) for name, each in value.items()}
