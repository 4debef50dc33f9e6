"""The codes of errors, gathered from the places that raise them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docs.pages import ROOT
from ims_core import errors
from ims_core.errors import HypervisorError
from ims_dom0.dom0 import Dom0
from ims_shell.host import ScriptHost
from ims_virtualbox.host import VirtualBoxHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Code", "codes"]

SOURCES = ("ims_core", "providers", "bootparams", "cli")
HOSTS = (Dom0, VirtualBoxHost, ScriptHost)
_REFUSE = re.compile(r'refuse ([a-z][a-z0-9-]+) "([^"]*)"')
_CODE = re.compile(r"(?:[a-z][a-z0-9]*|…)(?:-(?:[a-z0-9]+|…))*")
_WITHOUT = ("busy", "deadline")
"""Words of the scripts that only choose the class."""
_WITHOUT_HINT = 2
"""Arguments of `_kind` that are texts, if it has no hint."""


@dataclass(frozen=True, slots=True, order=True)
class Code:
    """What one place says.

    Attributes:
        code: The code; an ellipsis is a part that is only known when it runs.
        error: The error's class.
        message: What it says; an ellipsis is a part that is only known when it runs.
        hint: What to do.
    """

    code: str
    error: str
    message: str
    hint: str


def codes() -> list[Code]:
    """Every code with the first place that raises it, sorted; those of the classes included."""
    found: dict[str, Code] = {}
    for each in sorted({*_raised(), *_refused()}, key=_order):
        found.setdefault(each.code, each)
    for name in errors.__all__:
        cls = getattr(errors, name)
        first = (cls.__doc__ or "").strip().partition("\n")[0]
        found.setdefault(cls.code, Code(cls.code, name, first, ""))
    return sorted(found.values())


def _order(code: Code) -> tuple[object, ...]:
    """Those that say most come first."""
    return code.code, not code.message, not code.hint, code


def _raised() -> Iterator[Code]:
    """Calls that say ``code=…``, and those of the helpers that take it by its place."""
    for path in _files("py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            words = {word.arg: word.value for word in node.keywords}
            texts = [text for argument in node.args for text in _texts(argument)]
            message = next((text for text in texts if " " in text), "")
            hint = next(iter(_texts(words.get("hint") or words.get("fix"))), "")
            given = _texts(words.get("code"))
            helper = _name(node)
            if helper in ("_kind", "error", "refused") and not given:
                given = tuple(text for text in texts if _CODE.fullmatch(text))[:1]
            if helper == "_kind":  # its first argument is a pattern, and its last a hint
                message, hint = "", (hint or texts[-1]) if len(texts) > _WITHOUT_HINT else ""
            for code in given:
                if _CODE.fullmatch(code):
                    yield Code(code, _class_of(node), message, hint)


def _refused() -> Iterator[Code]:
    """What the scripts refuse."""
    for path in _files("sh"):
        for word, sentence in _REFUSE.findall(path.read_text(encoding="utf-8")):
            if word in _WITHOUT:
                continue
            known = next((host.WORDS[word] for host in HOSTS if word in host.WORDS), None)
            cls, hint = known or (HypervisorError, "")
            yield Code(word, cls.__name__, re.sub(r"\$\{?\w+\}?", "…", sentence), hint)


def _files(ending: str) -> Iterator[Path]:
    for folder in SOURCES:
        yield from sorted((ROOT / folder).rglob(f"*.{ending}"))


def _name(node: ast.Call) -> str:
    """Of the function or the method that is called."""
    called = node.func
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _class_of(node: ast.Call) -> str:
    names = [each.id for each in (node.func, *node.args) if isinstance(each, ast.Name)]
    return next((name for name in names if name in errors.__all__), "ImageError")


def _texts(node: ast.expr | None) -> tuple[str, ...]:
    """The strings an expression may be."""
    if node is None:
        return ()
    if isinstance(node, ast.JoinedStr):
        parts = (each.value if isinstance(each, ast.Constant) else "…" for each in node.values)
        return ("".join(map(str, parts)),)
    return tuple(
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )
