"""The tables in pages that are otherwise written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.pages import DOCS, filled, in_tree
from ims_core.models import Carrier, Context
from ims_core.registry import LAYOUTS, PROVIDERS
from ims_core.units import format_size
from ims_ovm.wire.table import DEFAULT, USED
from ims_virtualbox.vboxmanage.states import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_bootparams.layouts import Layout
    from ims_core.models import CarrierLimits

__all__ = ["CONTEXT", "OVM", "VIRTUALBOX", "WRITING", "context", "ovm", "virtualbox", "writing"]

CONTEXT = DOCS / "context.md"
OVM = DOCS / "providers" / "ovm.md"
WRITING = DOCS / "writing-a-provider.md"
VIRTUALBOX = DOCS / "providers" / "virtualbox.md"


def context() -> str:
    """The page about contexts, with its tables as the code has them."""
    return filled(CONTEXT, ["", *_layouts(), "", *_carriers(), ""])


def ovm() -> str:
    """The page about Oracle VM, with its table of names as the code has it."""
    return filled(OVM, ["", *_wire(), ""])


def virtualbox() -> str:
    """The page about VirtualBox, with its states as the code has them."""
    rows = [f"| {word} | `{known.state}` |" for word, known in STATES.items()]
    return filled(VIRTUALBOX, rows)


def writing() -> str:
    """The page for authors, with the example as it is."""
    code = (DOCS / "example_provider.py").read_text(encoding="utf-8")
    return filled(WRITING, ["", "```python", f"{code}```", ""])


def _layouts() -> Iterator[str]:
    yield f"| layout | label | reader | {' | '.join(Carrier)} | answers | live |"
    yield "|---" * (5 + len(Carrier)) + "|"
    for plugin in in_tree(LAYOUTS):
        layout: Layout = plugin.loaded
        cells = ["yes" if carrier in layout.carriers else "" for carrier in Carrier]
        live = "yes" if layout.live else "no"
        names = (f"`{layout.name}`", layout.label and f"`{layout.label}`", layout.reader)
        yield f"| {' | '.join((*names, *cells, _answers(layout), live))} |"


def _answers(layout: Layout) -> str:
    if not layout.answers(Context()):
        return "never"
    return "always" if layout.answers(Context(user_data=b"")) else "without raw user-data"


def _carriers() -> Iterator[str]:
    yield f"| provider | {' | '.join(Carrier)} |"
    yield "|---" * (1 + len(Carrier)) + "|"
    for plugin in in_tree(PROVIDERS):
        limits = plugin.loaded.features.carriers
        cells = [_limit(limits.get(carrier)) for carrier in Carrier]
        yield f"| `{plugin.name}` | {' | '.join(cells)} |"


def _limit(limits: CarrierLimits | None) -> str:
    if limits is None:
        return ""
    words = [f"to {format_size(limits.max_bytes)}"]
    words += ["live"] * limits.live + ["two media"] * limits.overlay
    return ", ".join(words)


def _wire() -> Iterator[str]:
    yield "| our word | operation | |\n|---|---|---|"
    for operation in DEFAULT.operations.values():
        yield f"| `{operation.key}` | `{operation.full_name}` | {operation.knowledge} |"
    yield ""
    yield "| type | fields that IMS writes or reads | |\n|---|---|---|"
    for name, fields in USED.items():
        listed = ", ".join(f"`{field}`" for field in fields)
        yield f"| `{name}` | {listed} | {DEFAULT.kinds[name].knowledge} |"
