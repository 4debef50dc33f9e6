"""Writes what is generated in docs/ from the code: ``make docs``.

A test fails when it is out of date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.pages import DOCS, ROOT
from docs.pages.api import api
from docs.pages.matrix import matrix
from docs.pages.mutation import mutation
from docs.pages.reference import reference
from docs.pages.spi import spi
from docs.pages.tables import CONTEXT, OVM, VIRTUALBOX, WRITING, context, ovm, virtualbox, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PAGES: Mapping[Path, Callable[[], str]] = {
    DOCS / "reference.md": reference,
    DOCS / "spi.md": spi,
    DOCS / "api.md": api,
    DOCS / "support-matrix.md": matrix,
    DOCS / "mutants.md": mutation,
    CONTEXT: context,
    WRITING: writing,
    OVM: ovm,
    VIRTUALBOX: virtualbox,
}

if __name__ == "__main__":
    for path, text in PAGES.items():
        path.write_text(text(), encoding="utf-8")
    print(f"wrote {', '.join(str(each.relative_to(ROOT)) for each in PAGES)}")
