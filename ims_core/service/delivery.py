"""Choosing layout and carrier for a VM, and finishing a delivery.

A provider declares carriers only; a template names the layout its guests understand. What cannot
go together is refused here, before anything is made.
"""

from __future__ import annotations

from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

from ims_bootparams.digest import NONCE_FILE, digest_of, listed
from ims_core.errors import InvalidError, UnsupportedError
from ims_core.models import Carrier, Delivery, Wait
from ims_core.registry import layout as load_layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_bootparams.layouts import Layout
    from ims_core.models import Context, Features

__all__ = ["OVERLAY", "check_wait", "choose", "deliver", "digest_for", "rendered"]

OVERLAY = "overlay/"
"""Before the names of the files of a layout's second medium, where both are told of."""


def choose(
    features: Features, template_layout: str, *, layout: str = "", carrier: str = ""
) -> tuple[Layout, Carrier]:
    """The layout and carrier for a VM; a caller's own choice wins.

    Raises:
        NotFoundError: ``layout-not-found``.
        UnsupportedError: ``carrier-impossible``: the provider has no such carrier, or the layout's
            reader does not look there.
    """
    chosen = load_layout(layout or template_layout)
    usable = [
        each
        for each, limits in features.carriers.items()
        if each in chosen.carriers and (limits.overlay or chosen.overlay is None)
    ]
    for each in usable:
        if carrier in ("", each):
            return chosen, each
    raise UnsupportedError(
        f"layout {chosen.name!r} cannot travel by {carrier or 'any carrier'} here",
        code="carrier-impossible",
        hint=f"carriers of both this layout and this provider: {', '.join(usable) or 'none'}",
    )


def check_wait(wait: Wait, layout: Layout, context: Context, features: Features) -> None:
    """Refuse to wait for a receipt that cannot come.

    Raises:
        InvalidError: ``wait-impossible``.
    """
    if wait is Wait.READY and not (features.receipts and layout.answers(context)):
        raise InvalidError(
            f"nothing answers for this context in layout {layout.name!r}, so --wait ready would"
            " never end",
            code="wait-impossible",
            hint="use --wait address; docs/context.md tells which layouts answer, and when",
        )


def rendered(context: Context, layout: Layout) -> dict[str, bytes]:
    """All files of this context in this layout, those of a second medium included."""
    overlay = layout.overlay(context) if layout.overlay else {}
    return {
        **layout.render(context),
        **{f"{OVERLAY}{name}": content for name, content in overlay.items()},
    }


def digest_for(context: Context, layout: Layout) -> str:
    """The digest that this context has in this layout."""
    return digest_of(rendered(context, layout))


def deliver(context: Context, layout: Layout, carrier: Carrier, features: Features) -> Delivery:
    """A finished delivery with a fresh nonce.

    Raises:
        InvalidError: The layout cannot carry a field, or the carrier (``context-too-large``) all.
    """
    digest = digest_for(context, layout)
    files = dict(layout.render(context))
    nonce = token_hex(8)
    limits = features.carriers[carrier]
    if carrier is Carrier.TEMPLATE_DISK:
        listed_files = listed(files, nonce)
        _check_files(listed_files, limits.max_bytes)
        return Delivery(layout.name, carrier, digest, nonce, files=listed_files)
    if carrier is Carrier.SMBIOS:
        values = {name: content.decode("ascii") for name, content in files.items()}
        return Delivery(layout.name, carrier, digest, nonce, values=values)
    if carrier.is_medium:
        medium = partial(_medium, carrier, layout.label, nonce, limits.max_bytes)
        overlay = medium(layout.overlay(context)) if layout.overlay else b""
        return Delivery(layout.name, carrier, digest, nonce, medium=medium(files), overlay=overlay)
    from ims_bootparams.values import to_values  # noqa: PLC0415 - few providers need it

    return Delivery(layout.name, carrier, digest, nonce, values=to_values(files, nonce, limits))


def _check_files(files: Mapping[str, bytes], limit: int) -> None:
    from ims_bootparams.media.tree import check_files  # noqa: PLC0415 - as in _medium

    check_files(files, limit)


def _medium(
    carrier: Carrier, label: str, nonce: str, limit: int, files: Mapping[str, bytes]
) -> bytes:
    from ims_bootparams.media import build  # noqa: PLC0415 - pycdlib costs 40 ms

    files = {**files, NONCE_FILE: f"{nonce}\n".encode()}
    return build(carrier, files, label, limit=limit, serial=nonce)
