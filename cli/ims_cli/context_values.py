"""From the words of the command line to a :class:`~ims_core.models.Context`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

from ims_bootparams.validation.keys import is_public_key
from ims_cli.inputs import Inputs
from ims_core.errors import InvalidError
from ims_core.models import Context, File, HostKey, Interface, Script, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ims_cli.context_options import ContextWords

__all__ = ["build_context", "changed", "files_of"]

T = TypeVar("T")

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
        (name, inputs.read_text(f"--secret {name}", path, secret=True).removesuffix("\n"))
        for name, path in _pairs("--secret", words["secrets"], "KEY=FILE")
    )
    user_data = words["user_data"]
    return Context(
        hostname=words["hostname"],
        interfaces=tuple(_interfaces(words)),
        ssh_keys=keys,
        users=tuple(_user(word, keys) for word in words["users"]),
        host_keys=tuple(_host_key(path, inputs) for path in words["host_keys"]),
        properties=dict(_once("--set", _pairs("--set", words["properties"], "KEY=VALUE"))),
        secrets=dict(_once("--secret", secrets)),
        files=_files(words["files"], inputs),
        scripts=tuple(_script(path, inputs) for path in words["scripts"]),
        user_data=inputs.read("--user-data", user_data) if user_data else None,
        seed_url=words["seed_url"],
    )


def files_of(words: Iterable[str], owner: str) -> tuple[File, ...]:
    """The files of ``--file`` alone, with this owner; raises as :func:`build_context`."""
    return tuple(replace(each, owner=owner) for each in _files(words, Inputs()))


def changed(context: Context, words: ContextWords, unset: Iterable[str]) -> Context:
    """A context with what the words say added, or in place of what has the same name there.

    Args:
        context: As it is.
        words: What is new. The keys of the default user are replaced as a whole.
        unset: Names of properties and secrets that go away.

    Raises:
        InvalidError: As :func:`build_context`; or there is nothing of a name to be unset.
    """
    new = build_context(words)
    properties, secrets = dict(context.properties), dict(context.secrets)
    for name in unset:
        if name not in properties and name not in secrets:
            known = ", ".join(sorted([*properties, *secrets])) or "none"
            raise InvalidError(f"--unset {name!r}: it is not set", hint=f"set are: {known}")
    for name in (*unset, *new.properties, *new.secrets):  # either may have been the other before
        properties.pop(name, None)
        secrets.pop(name, None)
    return replace(
        context,
        hostname=new.hostname or context.hostname,
        ssh_keys=new.ssh_keys or context.ssh_keys,
        users=_merged_users(context.users, new.users),
        host_keys=_merged(context.host_keys, new.host_keys, "type"),
        properties={**properties, **new.properties},
        secrets={**secrets, **new.secrets},
        files=_merged(context.files, new.files, "path"),
        scripts=_merged(context.scripts, new.scripts, "name"),
        user_data=context.user_data if new.user_data is None else new.user_data,
        seed_url=new.seed_url or context.seed_url,
    )


def _merged(old: tuple[T, ...], new: tuple[T, ...], key: str) -> tuple[T, ...]:
    """The old ones in their places, replaced where there is a new one of that name."""
    names = [getattr(each, key) for each in new]
    for name in names:
        if names.count(name) > 1:
            raise InvalidError(f"{key} {name!r} comes twice", hint="keep one of them")
    return tuple({getattr(each, key): each for each in (*old, *new)}.values())


def _merged_users(old: tuple[User, ...], new: tuple[User, ...]) -> tuple[User, ...]:
    """As :func:`_merged`, but what was not said of a user who is there stays."""
    known = {user.name: user for user in old}

    def completed(user: User) -> User:
        before = known.get(user.name, user)
        return replace(
            before, ssh_keys=user.ssh_keys or before.ssh_keys, sudo=user.sudo or before.sudo
        )

    return _merged(old, tuple(map(completed, new)), "name")


def _interfaces(words: ContextWords) -> Iterator[Interface]:
    network, addresses = words.get("network", ""), words.get("ips", ())
    if network or addresses:
        yield Interface(network=network, addresses=addresses)
    for word in words.get("interfaces", ()):
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
    if is_public_key(word):
        yield word.strip()
        return
    text = inputs.read_text("--ssh-key", word)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if _PRIVATE in text or not lines or not all(is_public_key(line) for line in lines):
        private = _PRIVATE in text
        raise InvalidError(
            f"--ssh-key: {word!r} {'is a private key' if private else 'holds no public keys'}",
            code="invalid-ssh-key",
            hint="give the .pub file beside it" if private else "give a .pub file, or its line",
        )
    yield from lines


def _user(word: str, keys: tuple[str, ...]) -> User:
    return User(word.removesuffix(_SUDO), ssh_keys=keys, sudo=word.endswith(_SUDO))


def _host_key(path: str, inputs: Inputs) -> HostKey:
    """A key pair of files, as ssh-keygen makes it."""
    public = inputs.read_text("--host-key", f"{path}.pub").strip()
    known = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}
    algorithm = public.partition(" ")[0]
    kind = known.get(algorithm, "ecdsa" if algorithm.startswith("ecdsa-") else algorithm)
    return HostKey(kind, inputs.read_text("--host-key", path), public)


def _files(words: Iterable[str], inputs: Inputs) -> tuple[File, ...]:
    pairs = _pairs("--file", words, "GUEST_PATH=FILE[:MODE]")
    return tuple(_file(guest, local, inputs) for guest, local in pairs)


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
            # What was given may be a secret, in the wrong way, so none of it is repeated.
            named = f" {key!r}" if equals else ""
            raise InvalidError(f"{option}{named} is not complete", hint=f"write {option} {form}")
        yield key, value


def _once(option: str, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for key, value in pairs:
        if key in seen:
            raise InvalidError(f"{option} {key!r} comes twice", hint="keep one of them")
        seen.add(key)
        yield key, value
