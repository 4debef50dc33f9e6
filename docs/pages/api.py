"""``api.md``: what ``import ims_core`` offers, from the docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ims_core
from docs.pages import GENERATED
from docs.pages.spi import INTERFACES, MODELS, described, loaded
from ims_core.spi import OPTIONAL

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["api"]


def api() -> str:
    """The whole page."""
    parts = [
        "# The Python API",
        "",
        GENERATED,
        "",
        "Everything here is imported from `ims_core`. What providers implement, and what is handed",
        "to them and back, is on [the page of the SPI](spi.md).",
        "",
        *_described("Ims"),
    ]
    elsewhere = {"Provider", *(each.__name__ for each in OPTIONAL.values()), *INTERFACES, *MODELS}
    for name in ims_core.__all__:
        if name not in {"Ims", "__version__", *elsewhere}:
            parts += _described(name)
    return "\n".join(parts).rstrip() + "\n"


def _described(name: str) -> Iterator[str]:
    home = getattr(ims_core, name).__module__
    yield from (f"## {name}", "")
    yield from described(loaded(home), name)
