"""Names from requests, before they become part of a path or of a line."""

from __future__ import annotations

import re

from tests.labs.ovm.store import RefusedError

__all__ = ["card_address", "name", "password", "properties"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|")
_PASSWORD = re.compile(r"[!-+\--~]*")  # a comma would end it within vm.cfg's vfb
_KEY = re.compile(r"[A-Za-z0-9_.-]+")


def name(text: str) -> str:
    """A name of a VM, a template, a bridge or a file."""
    return _checked(_NAME, "name", text)


def card_address(text: str) -> str:
    """A MAC address, or nothing."""
    return _checked(_MAC, "MAC address", text)


def password(text: str) -> str:
    """A console's password; the message does not show it."""
    if not _PASSWORD.fullmatch(text):
        raise RefusedError("the console password has a character that is not allowed")
    return text


def properties(entries: dict[str, str]) -> dict[str, str]:
    """What can stand in a file of ``KEY=value`` lines."""
    for key, value in entries.items():
        _checked(_KEY, "property", key)
        if not value.isprintable():
            raise RefusedError(f"the property {key} has a control character")
    return entries


def _checked(pattern: re.Pattern[str], what: str, text: str) -> str:
    if not pattern.fullmatch(text):
        raise RefusedError(f"{text!r} is no {what}")
    return text
