r"""What xl reads, as libxlu_cfg_l.l and libxlu_cfg_y.y of Xen define it.

A key is ``[a-z][._0-9a-z]*``; one character outside, and xl refuses the whole file. A value is a
number, a string or a list. Strings are written in ``'``, with a backslash before each ``'`` and
``\``, which xl and Python read alike.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from ims_core.errors import InvalidError
from ims_dom0.vmcfg.disks import parse_disk, write_disk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_dom0.vmcfg.reading import Value

__all__ = ["XlValue", "to_xl", "write_xl"]

#: What a key of xl's may have for a value.
XlValue: TypeAlias = "str | int | Sequence[str]"

_KEY = re.compile(r"[a-z][._0-9a-z]*")
# xl would carry some control characters, but no setting has a use for them, and a line break that
# comes from elsewhere must not end up in what xl makes of a value. Surrogates are not UTF-8.
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_NUMBER = (1 << 63) - 1  # a C long
# What only the Manager and the agent of Oracle VM read, and what xl ignores with a warning.
_DROPPED = frozenset({"device_model", "disk_other_config", "vif_other_config"})
_TYPES = {"hvm": "hvm", "generic": "pv", "linux": "pv"}
_NETFRONT = re.compile(r"(?<![^,])[ \t]*type=netfront[ \t]*(?![^,])")


def write_xl(values: Mapping[str, XlValue]) -> str:
    """The file from which ``xl create`` reads these values.

    Args:
        values: Text, a number of 0 … 2^63-1, or a list of texts, by key.

    Returns:
        The file's text, to be stored as UTF-8; one line for each key, in the mapping's order.

    Raises:
        InvalidError: xl cannot read the key, or the value has a control character other than a
            tab, a lone surrogate, or a number out of range; the message names the key.
    """
    return "".join(f"{_checked(key)} = {_written(key, value)}\n" for key, value in values.items())


def to_xl(cfg: Mapping[str, Value]) -> dict[str, XlValue]:
    """The values for xl that mean what this file of xm's means.

    Oracle VM's own ``OVM_*`` and ``*_other_config`` are left out, and so is ``device_model``, which
    names a program of its dom0. ``builder`` becomes ``type``; each disk is written anew; and the
    paravirtual network card, ``type=netfront``, is ``type=vif`` for xl.

    Args:
        cfg: From :func:`ims_dom0.vmcfg.parse`.

    Raises:
        InvalidError: A builder, a disk or a nested list that xl has no word for.
    """
    values: dict[str, XlValue] = {}
    for key, value in cfg.items():
        if key.startswith("OVM_") or key in _DROPPED:
            continue
        if key == "builder":
            if value not in _TYPES:
                raise _invalid(key, f"is {value!r}", f"use one of: {', '.join(_TYPES)}")
            values["type"] = _TYPES[str(value)]
        elif isinstance(value, tuple):
            values[key] = tuple(_entry(key, _text(key, item)) for item in value)
        elif isinstance(value, int) and value < 0:
            values[key] = str(value)  # which xl reads as a number, but only from a string
        else:
            values[key] = value
    return values


def _entry(key: str, text: str) -> str:
    if key == "disk":
        return write_disk(parse_disk(text))
    if key == "vif":
        return _NETFRONT.sub("type=vif", text)
    return text


def _text(key: str, value: Value) -> str:
    if isinstance(value, tuple):
        raise _invalid(key, "has a list within a list", "xl has no setting of that form; remove it")
    return str(value)


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidError(
            f"vm.cfg: xl cannot read the key {key[:40]!r}",
            hint="a key has lower-case letters, digits, '_' and '.', and begins with a letter",
        )
    return key


def _written(key: str, value: XlValue) -> str:
    if isinstance(value, str):
        return _quoted(key, value)
    if isinstance(value, int):
        if not 0 <= value <= _MAX_NUMBER:
            raise _invalid(key, "is a number that xl cannot read", "the range is 0 to 2^63 - 1")
        return f"{value:d}"
    return f"[{', '.join(_quoted(key, item) for item in value)}]"


def _quoted(key: str, text: str) -> str:
    unfit = _UNFIT.search(text)
    if unfit:
        raise _invalid(key, f"has the character {unfit[0]!r}", "remove it; xl has no use for it")
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"


def _invalid(key: str, why: str, hint: str) -> InvalidError:
    return InvalidError(f"vm.cfg: {key} {why}", hint=hint)
