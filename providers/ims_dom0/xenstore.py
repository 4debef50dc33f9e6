"""What guests write to xenstore, as ``xenstore-ls -f`` prints it.

A guest may write ``/local/domain/DOMID/data/…`` (docs/misc/xenstore-paths.pandoc of Xen):
``ims-context`` answers below ``data/ims/receipt``, XenServer's tools tell addresses below ``attr``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_bootparams.receipt import receipt_of_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Receipt

__all__ = ["Stored", "stored_in"]

_LINE = re.compile(r'/local/domain/([0-9]+)/([A-Za-z0-9@/_-]+) = "([^"\\]*)"')


class Stored:
    """What guests wrote, by domain id."""

    def __init__(self, values: Mapping[int, Mapping[str, str]]) -> None:
        """Keep it."""
        self._values = values

    def receipt(self, domid: int | None = None) -> Receipt | None:
        """What a domain's guest answered; without a domain id, whichever is the only one there."""
        chosen = self._values.get(domid, {}) if domid is not None else _only(self._values)
        begin = "data/ims/receipt/"
        return receipt_of_values(
            {
                key.removeprefix(begin): value
                for key, value in chosen.items()
                if key.startswith(begin)
            }
        )

    def addresses(self, domid: int) -> list[tuple[int, str]]:
        """Addresses that a guest's tools told, each with the number of its card."""
        found = []
        for key, value in self._values.get(domid, {}).items():
            if match := _ADDRESS_KEY.fullmatch(key):
                found.append((int(match[1] or match[2]), value))
        return found


# Of XenServer's guest tools, now and before.
_ADDRESS_KEY = re.compile(r"attr/(?:vif/([0-9]{1,3})/ipv[46]/[0-9]+|eth([0-9]{1,3})/ip)")


def stored_in(text: str) -> Stored:
    """What ``xenstore-ls -f`` printed; lines that are not of that form are left out."""
    values: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _LINE.match(line):
            values.setdefault(int(match[1]), {})[match[2]] = match[3]
    return Stored(values)


def _only(values: Mapping[int, Mapping[str, str]]) -> Mapping[str, str]:
    return next(iter(values.values())) if len(values) == 1 else {}
