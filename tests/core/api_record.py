"""What others build on, as text: ``python -m tests.core.api_record`` writes ``api.txt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import griffe

import ims_core
from ims_core import spi, testing

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = Path(__file__).with_name("api.txt")
MODULES = {
    "ims_core": ims_core.__all__,
    "ims_core.spi": sorted({*spi.__all__} - {*ims_core.__all__}),
}
KIT = ("Target", "TOPICS")


def api() -> str:
    """One line for each class, method, field and constant."""
    lines = [f"SPI {spi.SPI_VERSION}"]
    for module, names in MODULES.items():
        for name in names:
            home = getattr(getattr(ims_core, name, None), "__module__", module)
            lines += _lines(f"{module}.{name}", _found(home)[name])
    for name in KIT:
        home = getattr(getattr(testing, name), "__module__", "ims_core.testing")
        lines += _lines(f"ims_core.testing.{name}", _found(home)[name])
    return "\n".join(lines) + "\n"


def _found(module: str) -> griffe.Module:
    return cast("griffe.Module", griffe.load(module, docstring_parser="google"))


def _lines(name: str, found: griffe.Object | griffe.Alias) -> Iterator[str]:
    if isinstance(found, griffe.Function):
        yield f"{name}{found.signature().removeprefix(found.name)}"
    elif isinstance(found, griffe.Attribute):
        kind = f": {found.annotation}" if found.annotation else ""
        value = f" = {' '.join(str(found.value).split())}" if found.value else ""
        yield f"{name}{kind}{value}"
    elif isinstance(found, griffe.Class):
        yield f"class {name}({', '.join(map(str, found.bases))})"
        for member in found.members.values():
            if not member.name.startswith("_") or member.name in ("__init__", "__call__"):
                yield from _lines(f"{name}.{member.name}", member)


if __name__ == "__main__":
    RECORD.write_text(api(), encoding="utf-8")
