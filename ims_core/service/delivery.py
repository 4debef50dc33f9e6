"""Choosing layout and carrier for a VM, and finishing a delivery.

A provider declares carriers only; a template names the layout its guests understand. What cannot
go together is refused here, before anything is made.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from ims_bootparams.digest import NONCE_FILE, digest_of
from ims_core.errors import InvalidError, UnsupportedError
from ims_core.models import Carrier, Delivery, Wait
from ims_core.registry import layout as load_layout

if TYPE_CHECKING:
    from ims_bootparams.layouts import Layout
    from ims_core.models import Context, Features

__all__ = ["check_wait", "choose", "deliver", "digest_for"]

_BUILT_HERE = (Carrier.ISO,)


def choose(
    features: Features, template_layout: str, *, layout: str = "", carrier: str = ""
) -> tuple[Layout, Carrier]:
    """The layout and carrier for a VM; a caller's own choice wins.

    Raises:
        NotFoundError: ``layout-not-found``.
        UnsupportedError: The provider has no such carrier.
    """
    chosen = load_layout(layout or template_layout)
    usable = [each for each in features.carriers if each in _BUILT_HERE]
    for each in usable:
        if carrier in ("", each):
            return chosen, each
    raise UnsupportedError(
        f"context cannot be carried by {carrier or 'any carrier'} here",
        hint=f"carriers of this provider: {', '.join(usable) or 'none'}",
    )


def check_wait(wait: Wait, layout: Layout, features: Features) -> None:
    """Refuse to wait for a receipt that cannot come.

    Raises:
        InvalidError: ``wait-impossible``.
    """
    if wait is Wait.READY and not (layout.receipts and features.receipts):
        raise InvalidError(
            f"nothing answers for the layout {layout.name!r}, so --wait ready would never end",
            code="wait-impossible",
            hint="use --wait address, or a template whose guests answer (layout bootparams)",
        )


def digest_for(context: Context, layout: Layout) -> str:
    """The digest that this context has in this layout."""
    return digest_of(layout.render(context))


def deliver(context: Context, layout: Layout, carrier: Carrier, features: Features) -> Delivery:
    """A finished delivery with a fresh nonce."""
    from ims_bootparams.media.iso import build_iso  # noqa: PLC0415 - pycdlib costs 40 ms

    files = dict(layout.render(context))
    digest = digest_of(files)
    nonce = token_hex(8)
    files[NONCE_FILE] = f"{nonce}\n".encode()
    medium = build_iso(files, layout.label, limit=features.carriers[carrier].max_bytes)
    return Delivery(layout.name, carrier, digest, nonce, medium)
