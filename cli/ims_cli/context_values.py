"""From the words of the command line to a :class:`~ims_core.models.Context`."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from ims_cli.inputs import Inputs
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Interface, Script, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ims_cli.context_options import ContextWords

__all__ = ["build_context"]

_KEY_LINE = re.compile(r"(^|\s)(ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+\s+AAAA")
_MODE = re.compile(r"(.+):(0?[0-7]{3}|[0-7]{4})", re.DOTALL)
_PRIVATE = "-----BEGIN"
_SUDO = ":sudo"
_LISTS = {"ip": "addresses", "gateway": "gateways", "dns": "nameservers", "search": "search"}
_ONCE = ("network", "mac")


def build_context(words: ContextWords) -> Context:
    """Read every file and take every word apart.

    Raises:
        InvalidError: A word or a file that cannot be what its option needs.
    """
    inputs = Inputs()
    keys = tuple(key for word in words["ssh_keys"] for key in _ssh_keys(word, inputs))
    secrets = (
        (name, inputs.read_text("--secret", path).removesuffix("\n"))
        for name, path in _pairs("--secret", words["secrets"], "KEY=FILE")
    )
    user_data = words["user_data"]
    return Context(
        hostname=words["hostname"],
        interfaces=tuple(_interfaces(words)),
        ssh_keys=keys,
        users=tuple(_user(word, keys) for word in words["users"]),
        properties=dict(_once("--set", _pairs("--set", words["properties"], "KEY=VALUE"))),
        secrets=dict(_once("--secret", secrets)),
        files=tuple(
            _file(guest, local, inputs)
            for guest, local in _pairs("--file", words["files"], "GUEST_PATH=FILE[:MODE]")
        ),
        scripts=tuple(_script(path, inputs) for path in words["scripts"]),
        user_data=inputs.read("--user-data", user_data) if user_data else None,
    )


def _interfaces(words: ContextWords) -> Iterator[Interface]:
    if words["network"] or words["ips"]:
        yield Interface(network=words["network"], addresses=words["ips"])
    for word in words["interfaces"]:
        yield _interface(word)


def _interface(word: str) -> Interface:
    single: dict[str, str] = {}
    several: dict[str, list[str]] = {field: [] for field in _LISTS.values()}
    for part in word.split(","):
        key, _, value = part.partition("=")
        if key in _LISTS and value:
            several[_LISTS[key]].append(value)
        elif key in _ONCE and value and key not in single:
            single[key] = value
        else:
            problem = "comes twice" if key in single and value else "is not understood"
            raise InvalidError(
                f"--interface {word!r}: {part!r} {problem}",
                hint=f"write KEY=VALUE,KEY=VALUE with {', '.join((*_ONCE, *_LISTS))}",
            )
    return Interface(
        network=single.get("network", ""),
        mac=single.get("mac", "").lower(),
        addresses=tuple(several["addresses"]),
        gateways=tuple(several["gateways"]),
        nameservers=tuple(several["nameservers"]),
        search=tuple(several["search"]),
    )


def _ssh_keys(word: str, inputs: Inputs) -> Iterator[str]:
    """The key that the word is, or those in the file that it names."""
    if _KEY_LINE.search(word):
        yield word.strip()
        return
    text = inputs.read_text("--ssh-key", word)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if _PRIVATE in text or not lines or not all(_KEY_LINE.search(line) for line in lines):
        private = _PRIVATE in text
        raise InvalidError(
            f"--ssh-key: {word!r} {'is a private key' if private else 'holds no public keys'}",
            code="invalid-ssh-key",
            hint="give the .pub file beside it" if private else "give a .pub file, or its line",
        )
    yield from lines


def _user(word: str, keys: tuple[str, ...]) -> User:
    return User(word.removesuffix(_SUDO), ssh_keys=keys, sudo=word.endswith(_SUDO))


def _file(guest: str, local: str, inputs: Inputs) -> File:
    match = _MODE.fullmatch(local)
    if match is None:
        return File(guest, inputs.read("--file", local))
    return File(guest, inputs.read("--file", match[1]), int(match[2], base=8))


def _script(path: str, inputs: Inputs) -> Script:
    return Script(PurePath(path).name, inputs.read("--script", path))


def _pairs(option: str, words: Iterable[str], form: str) -> Iterator[tuple[str, str]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and (value or form.endswith("VALUE"))):
            # A value may be a secret that was given in the wrong way, so it is not repeated.
            raise InvalidError(f"{option} {key!r} is not complete", hint=f"write {option} {form}")
        yield key, value


def _once(option: str, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for key, value in pairs:
        if key in seen:
            raise InvalidError(f"{option} {key!r} comes twice", hint="keep one of them")
        seen.add(key)
        yield key, value
