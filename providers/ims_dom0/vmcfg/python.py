"""What ``xm`` executes as Python: assignments of literals, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_dom0.vmcfg.reading import Value

__all__ = ["write_xm"]

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Python 2 refuses a file with other characters unless that says its encoding.
_PRINTABLE = re.compile(r"[\x20-\x7e\t]*")
_RESERVED = frozenset({"None", "True", "False", "print", "exec", "import", "from", "def", "class"})


def write_xm(values: Mapping[str, Value]) -> str:
    """The file that assigns these values; :func:`ims_dom0.vmcfg.parse` reads the same from it.

    Raises:
        InvalidError: A key is no name of Python's, or a text has other characters than printable
            ASCII; the message names the key.
    """
    return "".join(f"{_checked(key)} = {_literal(key, value)}\n" for key, value in values.items())


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or key in _RESERVED:
        raise InvalidError(f"vm.cfg: xm cannot read the key {key[:40]!r}", hint="remove it")
    return key


def _literal(key: str, value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(key, each) for each in value)}]"
    if isinstance(value, int):
        return f"{value:d}"
    if not _PRINTABLE.fullmatch(value):
        raise InvalidError(
            f"vm.cfg: {key} has characters that xm cannot read", hint="use printable ASCII only"
        )
    return "'" + value.replace("\\", r"\\").replace("'", r"\'").replace("\t", r"\t") + "'"
