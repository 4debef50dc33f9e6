"""A context as JSON and back, for the store. File contents become base64."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import fields
from typing import Any

from ims_core.models import Context, File, HostKey, Interface, Script, User

__all__ = ["context_from_json", "context_to_json"]

_PARTS: dict[str, type[Interface | User | HostKey | File | Script]] = {
    "interfaces": Interface,
    "users": User,
    "host_keys": HostKey,
    "files": File,
    "scripts": Script,
}


def context_to_json(context: Context) -> str:
    """The whole context, secrets included: keep the text as safe as the secrets."""
    return json.dumps(_plain(context))


def context_from_json(text: str) -> Context:
    """The inverse of :func:`context_to_json`."""
    values = json.loads(text)
    for name, part in _PARTS.items():
        values[name] = tuple(part(**_typed(each)) for each in values.get(name, ()))
    return Context(**_typed(values))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, (Context, Interface, User, HostKey, File, Script)):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, bool)) or value is None else dict(value)


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Any) -> Any:
    if name in ("content", "user_data") and value is not None:
        return b64decode(value["base64"])
    return tuple(value) if isinstance(value, list) else value
