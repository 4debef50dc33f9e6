"""Plain data as YAML, without a YAML library: loading one costs a twentieth of a whole create."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["to_yaml"]

_LAST_OF_BMP = 0xFFFF
_NOT_PRINTABLE = re.compile(r"[^\n -~]")


def to_yaml(value: Mapping[str, Any]) -> bytes:
    """Plain data as YAML, in its flow style: JSON, but for one thing.

    JSON is YAML (YAML 1.2, section 1.3) except that it escapes a character beyond U+FFFF as two
    surrogates. Every character that is not printable ASCII is escaped here as YAML does it
    (section 5.7), so no reader can take one for a line break.
    """
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return _NOT_PRINTABLE.sub(_escape, text).encode("ascii")


def _escape(character: re.Match[str]) -> str:
    code = ord(character[0])
    return f"\\u{code:04x}" if code <= _LAST_OF_BMP else f"\\U{code:08x}"
