"""Layouts: file formats that tell a guest its context.

A layout registers a :class:`Layout` under the entry point group ``ims.layouts``. A new one needs
no change anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ims_core.models import Context

__all__ = ["Layout"]


def _never(context: Context) -> bool:
    del context
    return False


@dataclass(frozen=True, slots=True)
class Layout:
    """A file format for a context.

    Attributes:
        name: As a template's manifest names it.
        label: The volume label by which the guest finds the medium; on FAT it is in upper case.
        render: A pure function from a context to the medium's files by name, without the nonce.
            It raises :class:`~ims_core.errors.InvalidError`, naming the field, for what the
            format cannot carry.
        reader: Who reads it in the guest, for people.
        carriers: Where that reader looks for it.
        answers: Whether a receipt will come for this context.
        live: Whether the reader notices a new context while the guest runs.
        overlay: Renders a second medium as ``render`` does the first, for readers that have two:
            its files stand in place of the first's of the same name, and it alone is renewed while
            the guest runs.
    """

    name: str
    label: str
    render: Callable[[Context], Mapping[str, bytes]]
    reader: str = ""
    carriers: tuple[Carrier, ...] = (Carrier.ISO,)
    answers: Callable[[Context], bool] = _never
    live: bool = False
    overlay: Callable[[Context], Mapping[str, bytes]] | None = None
