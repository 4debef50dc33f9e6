"""Layouts: file formats that tell a guest its context.

A layout registers a :class:`Layout` under the entry point group ``ims.layouts``. A new one needs
no change anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ims_core.models import Context

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A file format for a context.

    Attributes:
        name: As a template's manifest names it.
        label: The volume label by which the guest finds the medium.
        receipts: Whether the guest's consumer of this layout answers with a receipt.
        render: A pure function from a context to the medium's files by name, without the nonce.
            It raises :class:`~ims_core.errors.InvalidError`, naming the field, for what the
            format cannot carry.
    """

    name: str
    label: str
    receipts: bool
    render: Callable[[Context], Mapping[str, bytes]]
