"""Changing ``ims.toml`` as its owner would: comments and layout stay as they are.

tomlkit makes the change, and tomllib judges it. A text is written only if it says what the old one
said, the change, and nothing else.
"""

from __future__ import annotations

import json
import re
import tomllib
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ims_core.config.load import parse_config
from ims_core.config.rewrite import rewrite
from ims_core.errors import ConfigError, ConflictError
from ims_core.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ims_core.config.model import Config, Pool

__all__ = ["add_pool", "remove_pool", "toml_value"]

_HEADER = re.compile(r"(?:#[^\n]*\n)+\r?\n")
"""Comments at the beginning that are about the file and not about what follows."""


def toml_value(text: str) -> Any:
    """A value as TOML has it, ``5``, ``true`` or ``["a", "b"]``; else the text itself."""
    import tomlkit  # noqa: PLC0415 - only to change a file

    try:
        return tomlkit.value(text).unwrap()
    except (ValueError, RecursionError):
        return text


def add_pool(
    path: Path,
    name: str,
    table: Mapping[str, Any],
    *,
    default: bool = False,
    check: Callable[[Pool], object],
) -> None:
    """Write a further ``[pools.NAME]``.

    Args:
        path: The ``ims.toml``; made if there is none.
        name: The pool's name.
        table: What stands in its table.
        default: Whether it becomes the default pool.
        check: Raises if the provider cannot use the pool; called before anything is written.

    Raises:
        ConflictError: ``pool-exists``.
        InvalidError: The name, or something in the table, cannot be right.
        ConfigError: The file is not valid, or would not be, or cannot be written.
    """
    check_name("pool", name)

    def change(text: str) -> str:
        if name in parse_config(text, path).pools:
            raise ConflictError(
                f"there is a pool {name!r} already",
                code="pool-exists",
                pool=name,
                hint=f"choose another name, or edit {path}",
            )
        wanted = tomllib.loads(text)
        wanted.setdefault("pools", {})[name] = dict(table)
        if default:
            wanted["default_pool"] = name
            text = _with_default(text, name)
        new = _meaning(wanted, _with_pool(text, name, table), path)
        check(parse_config(new, path).pools[name])
        return new

    rewrite(path, change)


def remove_pool(path: Path, name: str) -> None:
    """Take a pool's table away; comments that are not inside it stay.

    Raises:
        NotFoundError: ``pool-not-found``.
        ConflictError: ``pool-in-use``: something else in the file names it.
        ConfigError: The file is not valid, or cannot be written.
    """
    check_name("pool", name)

    def change(text: str) -> str:
        config = parse_config(text, path)
        config.pool(name=name)
        if users := _users(config, name):
            raise ConflictError(
                f"pool {name!r} is named by {', '.join(users)}",
                code="pool-in-use",
                pool=name,
                hint=f"change {'that' if len(users) == 1 else 'those'} in {path} first",
            )
        wanted = tomllib.loads(text)
        del wanted["pools"][name]
        new = _meaning(wanted, _without_pool(text, name), path)
        parse_config(new, path)
        return new

    rewrite(path, change)


def _users(config: Config, name: str) -> list[str]:
    """The keys that name a pool."""
    found = ["default_pool"] if config.default_pool == name else []
    found += [f"groups.{each.name}" for each in config.groups.values() if name in each.pools]
    found += [f"networks.{each.name}" for each in config.networks.values() if name in each.pools]
    return found


def _with_default(text: str, name: str) -> str:
    import tomlkit  # noqa: PLC0415 - only to change a file

    document = tomlkit.parse(text)
    known = "default_pool" in document
    document["default_pool"] = name
    if known:
        return document.as_string()
    # tomlkit would put it between the first table and the comment above that.
    header = _HEADER.match(text)
    at, end = header.end() if header else 0, _line_end(text)
    return f'{text[:at]}default_pool = "{name}"{end}{end if text else ""}{text[at:]}'


def _with_pool(text: str, name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """The text with a further pool: at its end, or else wherever tomlkit finds a place."""
    import tomlkit  # noqa: PLC0415 - only to change a file

    end = _line_end(text)
    added = tomlkit.dumps({"pools": {name: dict(table)}}).replace("\n", end)
    before = text.rstrip()
    yield f"{before}{end}{end}{added}" if before else added
    document: Any = tomlkit.parse(text)
    document["pools"][name] = dict(table)
    yield document.as_string()


def _without_pool(text: str, name: str) -> Iterator[str]:
    """The text without a pool, with and without the comments that stood between it and the next."""
    import tomlkit  # noqa: PLC0415 - only to change a file

    document: Any = tomlkit.parse(text)
    del document["pools"][name]
    rest = document.as_string()
    yield _with_comments(text, rest)
    yield rest


def _with_comments(text: str, rest: str) -> str:
    """What is left of a text when a block was removed, with the comments at the block's end.

    To tomlkit a comment above a table is the last line of the table before.
    """
    old, new = text.splitlines(keepends=True), rest.splitlines(keepends=True)
    gone = len(old) - len(new)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    if old[start + gone :] != new[start:]:
        return rest
    tail = list(takewhile(_is_comment, reversed(old[start : start + gone])))[::-1]
    blanks = [index for index, line in enumerate(tail) if not line.strip()]
    kept = tail[blanks[0] :] if blanks else tail
    while kept and not kept[0].strip() and (not start or not new[start - 1].strip()):
        del kept[0]
    result = "".join([*new[:start], *kept, *new[start:]]).rstrip()
    return result + _line_end(text) if result else ""


def _is_comment(line: str) -> bool:
    """Whether a line is blank or a comment, and surely not the end of a long string."""
    stripped = line.strip()
    return not stripped or (stripped[0] == "#" and '"""' not in line and "'''" not in line)


def _meaning(wanted: Mapping[str, Any], texts: Iterator[str], path: Path) -> str:
    """The first of the texts that says what is wanted."""
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - only to change a file

    try:
        for text in texts:
            if _says(text, wanted):
                return text
    except (TOMLKitError, KeyError, TypeError):  # what tomlkit does not understand, a person may
        pass
    raise ConfigError(f"{path} cannot be changed without changing more", hint="edit it by hand")


def _says(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return _canonical(tomllib.loads(text)) == _canonical(wanted)
    except (ValueError, RecursionError):
        return False


def _canonical(document: Mapping[str, Any]) -> str:
    """A document as a text that does not depend on the order of its keys."""
    full = {key: value for key, value in document.items() if value != {}}
    return json.dumps(full, sort_keys=True, default=repr)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
