"""``spi.md``: what an author implements, from the docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import griffe

from docs.pages import GENERATED, ROOT, marked_up
from ims_core.spi import OPTIONAL, SPI_VERSION
from ims_core.testing.contract import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["INTERFACES", "MODELS", "described", "loaded", "spi"]

INTERFACES = ("UndoLog", "Progress", "ConsoleStream")
MODELS = (
    *("Features", "CarrierLimits", "VMSpec", "Interface", "Template", "Delivery", "Mark", "VM"),
    *("Address", "Receipt", "ItemResult", "Metrics", "Resource", "Host", "Finding", "Snapshot"),
)


def spi() -> str:
    """The whole page."""
    module = loaded("ims_core.spi")
    parts = [
        "# The SPI",
        "",
        GENERATED,
        f"Version {SPI_VERSION}; [how to write a provider](writing-a-provider.md) is the way in.",
        "",
        "## The contract",
        *_sentences(),
        "",
        "## Provider",
        "",
        *described(module, "Provider"),
        "## Optional features",
        "",
        "A provider has a feature exactly when it implements its protocol.",
        "",
        "| feature | protocol | methods | |",
        "|---|---|---|---|",
        *(_feature(module, word, protocol.__name__) for word, protocol in OPTIONAL.items()),
        "",
    ]
    for name in (*(protocol.__name__ for protocol in OPTIONAL.values()), *INTERFACES):
        parts += [f"## {name}", "", *described(module, name)]
    models = loaded("ims_core.models")
    parts += ["## What is handed over", "", "Frozen dataclasses of `ims_core.models`.", ""]
    for name in MODELS:
        parts += [f"### {name}", "", *_sections(models[name])]
    parts += ["Errors are those of the [reference](reference.md#errors).", ""]
    return "\n".join(parts)


def loaded(name: str) -> griffe.Module:
    """A module, read but not imported."""
    return cast(
        "griffe.Module",
        griffe.load(name, search_paths=[str(ROOT)], docstring_parser="google"),
    )


def _sentences() -> Iterator[str]:
    section = ""
    for sentence in contract().values():
        if sentence.section != section:
            section = sentence.section
            yield f"\n### {section}\n"
        yield f"{sentence.number}. {marked_up(sentence.text)}"


def _feature(module: griffe.Module, word: str, name: str) -> str:
    cls = module[name]
    methods = ", ".join(f"`{each}`" for each in cls.functions)
    return f"| `{word}` | [{name}](#{name.lower()}) | {methods} | {_first(cls)} |"


def described(module: griffe.Module, name: str) -> Iterator[str]:
    """A class with its methods; those that Python calls by itself are left out."""
    yield from _sections(module[name])
    for member in module[name].members.values():
        if member.name.startswith("_") and member.name != "__call__":
            continue
        if member.is_function:
            yield f"### {name}.{member.name}\n"
            kind = "@classmethod\n" if "classmethod" in member.labels else ""
            yield f"```python\n{kind}{member.signature()}\n```\n"
            yield from _sections(member)
        elif "property" in member.labels:
            yield f"### {name}.{member.name}\n"
            yield f"A property, `{member.annotation}`.\n"
            yield from _sections(member)


def _sections(member: griffe.Object) -> Iterator[str]:
    """The parts of a docstring: text, and lists of arguments, attributes and errors."""
    if member.docstring is None:
        return
    for section in member.docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.text:
            yield f"{marked_up(section.value)}\n"
            continue
        heading = section.kind.value
        yield f"{'arguments' if heading == 'parameters' else heading}:\n".capitalize()
        for each in section.value:
            label = getattr(each, "name", None) or each.annotation
            annotated = getattr(each, "name", None) and each.annotation
            kind = f" (`{annotated}`)" if annotated else ""
            yield f"- `{label}`{kind}: {marked_up(' '.join(each.description.split()))}"
        yield ""


def _first(member: griffe.Object) -> str:
    text = member.docstring.value if member.docstring else ""
    return marked_up(text.strip().partition("\n")[0])
