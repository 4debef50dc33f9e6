"""Choosing layout and carrier for a VM, and finishing a delivery.

A provider declares carriers only; a template names the layout its guests understand. What cannot
go together is refused here, before anything is made.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from ims_bootparams.digest import NONCE_FILE, digest_of, listed
from ims_core.errors import InvalidError, UnsupportedError
from ims_core.models import Carrier, Delivery, Wait
from ims_core.registry import layout as load_layout

if TYPE_CHECKING:
    from ims_bootparams.layouts import Layout
    from ims_core.models import Context, Features

__all__ = ["check_wait", "choose", "deliver", "digest_for"]


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
    usable = [each for each in features.carriers if each in chosen.carriers]
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


def digest_for(context: Context, layout: Layout) -> str:
    """The digest that this context has in this layout."""
    return digest_of(layout.render(context))


def deliver(context: Context, layout: Layout, carrier: Carrier, features: Features) -> Delivery:
    """A finished delivery with a fresh nonce.

    Raises:
        InvalidError: The layout cannot carry a field, or the carrier (``context-too-large``) all.
    """
    files = dict(layout.render(context))
    digest = digest_of(files)
    nonce = token_hex(8)
    limits = features.carriers[carrier]
    if carrier is Carrier.TEMPLATE_DISK:
        return Delivery(layout.name, carrier, digest, nonce, files=listed(files, nonce))
    if carrier.is_medium:
        from ims_bootparams.media import build  # noqa: PLC0415 - pycdlib costs 40 ms

        files[NONCE_FILE] = f"{nonce}\n".encode()
        medium = build(carrier, files, layout.label, limit=limits.max_bytes, serial=nonce)
        return Delivery(layout.name, carrier, digest, nonce, medium=medium)
    from ims_bootparams.values import to_values  # noqa: PLC0415 - few providers need it

    return Delivery(layout.name, carrier, digest, nonce, values=to_values(files, nonce, limits))
