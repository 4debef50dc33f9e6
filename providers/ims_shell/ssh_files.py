"""Read ssh_config files as OpenSSH does: which lines apply to a host, first value wins.

``Host``, ``Match`` and ``Include`` are worked here. ``Match exec`` never runs its command: where
it would have to be asked, the file is refused.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ims_core.errors import ConfigError
from ims_shell.ssh_words import HONOURED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Found", "Said", "any_fits", "local_user", "read_files", "system_folder", "user_folder"]

_DEPTH = 16
_LINE = re.compile(r"(?P<word>[^\s=]+)(?:\s*=\s*|\s+|$)(?P<rest>.*)")
_LISTED = frozenset({"identityfile"})
_SINGLE = frozenset(word.lower() for word in HONOURED) - {"userknownhostsfile", "proxycommand"}


@dataclass(frozen=True, slots=True)
class Said:
    """One line that applies."""

    word: str
    values: tuple[str, ...]
    place: str
    """File and line, for people."""


@dataclass(slots=True)
class Found:
    """What the files say about one host, so far."""

    name: str
    """As it was asked for."""
    said: dict[str, list[Said]] = field(default_factory=dict)
    """By the word in lower case. Only ``identityfile`` can have more than one."""
    final: bool = False
    """Whether this is the second pass, which ``Match final`` wants."""
    wants_final: bool = False

    def value(self, word: str) -> str | None:
        """The first value of a word, if it was said."""
        said = self.said.get(word)
        return said[0].values[0] if said else None

    def host_now(self) -> str:
        """The host name as far as it is known, which is what ``Match host`` looks at."""
        return (self.value("hostname") or self.name).replace("%h", self.name).replace("%%", "%")

    def add(self, said: Said) -> None:
        """Take a line that applies, unless the word was said before."""
        word = said.word.lower()
        if word == "proxyjump" and "proxycommand" in self.said:
            return
        if word == "proxycommand" and (self.value("proxyjump") or "none").lower() != "none":
            return
        if word in _LISTED:
            known = self.said.setdefault(word, [])
            if all(other.values != said.values for other in known):
                known.append(said)
        else:
            self.said.setdefault(word, [said])


def user_folder() -> Path:
    """Where a user's files are."""
    return Path.home() / ".ssh"


def system_folder() -> Path:
    """Where the machine's files are."""
    return Path("/etc/ssh")


def local_user() -> str:
    """Who we are, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def read_files(found: Found, config: str) -> None:
    """Read what applies to a host into ``found``.

    Args:
        found: Holds the host's name, and what was said on a command line.
        config: A file; empty for the user's and the machine's own; ``none`` for none.

    Raises:
        ConfigError: A file cannot be read, or has a line that is not understood.
    """
    _pass(found, config)
    if found.wants_final:
        # The host's name is settled by now, whatever the second pass comes across.
        name = found.host_now().lower().replace("%", "%%")
        found.said["hostname"] = [Said("HostName", (name,), config)]
        found.final = True
        _pass(found, config)


def _pass(found: Found, config: str) -> None:
    if config == "none":
        return
    if config:
        path = Path(config).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no ssh_config {path}", hint='name another, or "none"')
        _Reader(found, user_folder(), by_others=True).file(path, applies=True, depth=0)
        return
    own = user_folder() / "config"
    if own.is_file():
        _Reader(found, user_folder(), by_others=False).file(own, applies=True, depth=0)
    shared = system_folder() / "ssh_config"
    if shared.is_file():
        _Reader(found, system_folder(), by_others=True).file(shared, applies=True, depth=0)


class _Reader:
    """Reads one file and those that it includes."""

    def __init__(self, found: Found, folder: Path, *, by_others: bool) -> None:
        self._found = found
        self._folder = folder
        self._by_others = by_others

    def file(self, path: Path, *, applies: bool, depth: int) -> None:
        if depth > _DEPTH:
            raise ConfigError(f"{path}: Include goes round in circles, or deeper than {_DEPTH}")
        outside = applies
        for number, line in enumerate(self._text(path).splitlines(), start=1):
            line = line.strip()  # noqa: PLW2901 - the line, as ssh sees it
            if not line or line.startswith("#"):
                continue
            place = f"{path}:{number}"
            parts = _LINE.fullmatch(line)
            word, rest = (parts["word"], parts["rest"]) if parts else (line, "")
            said = Said(word, _values(word, rest, place), place)
            match word.lower():
                case "host":
                    # In the second pass, OpenSSH has replaced the name by what it stands for.
                    name = self._found.host_now() if self._found.final else self._found.name
                    applies = outside and any_fits(said.values, name)
                case "match":
                    applies = outside and _Condition(self._found, place).holds(said.values)
                case "include":
                    self._include(said, applies=applies, depth=depth)
                case _ if applies:
                    self._found.add(said)

    def _include(self, said: Said, *, applies: bool, depth: int) -> None:
        for name in said.values:
            pattern = os.path.join(self._folder, os.path.expanduser(name))  # noqa: PTH111, PTH118 - a glob is not a path
            for path in sorted(glob.glob(pattern)):  # noqa: PTH207 - it may be absolute
                if not Path(path).is_dir():
                    self.file(Path(path), applies=applies, depth=depth + 1)

    def _text(self, path: Path) -> str:
        try:
            with path.open(encoding="utf-8", errors="surrogateescape") as file:
                about = os.fstat(file.fileno())
                text = file.read()
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be read: {error.strerror}",
                hint='correct its mode, or set ssh_config to another file, or to "none"',
            ) from error
        others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not self._by_others and (about.st_uid not in {0, os.getuid()} or others):
            raise ConfigError(
                f"{path} could be changed by other users, so it is not trusted",
                hint=f"chmod 600 {path}",
            )
        return text


def _values(word: str, rest: str, place: str) -> tuple[str, ...]:
    """The values of a line, as OpenSSH tells them apart.

    Raises:
        ConfigError: There are none, too many, or quotes without an end.
    """
    if word.lower() == "proxycommand":  # the rest of the line, for the shell
        values = [rest] if rest else []
    else:
        lexer = shlex.shlex(rest, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
        try:
            values = list(lexer)
        except ValueError as error:
            raise ConfigError(f"{place}: {word}: a quote has no end") from error
        comment = next((i for i, value in enumerate(values) if value.startswith("#")), len(values))
        del values[comment:]
    if not values or not all(values):
        raise ConfigError(f"{place}: {word} has no value")
    if len(values) > 1 and word.lower() in _SINGLE:
        raise ConfigError(f"{place}: {word} has more than one value")
    return tuple(values)


class _Condition:
    """One ``Match`` line."""

    def __init__(self, found: Found, place: str) -> None:
        self._found = found
        self._place = place

    def holds(self, words: Sequence[str]) -> bool:
        """Whether it applies; what follows a part that does not is not looked at."""
        rest = [part for word in words for part in _attribute(word)]
        while rest:
            name = rest.pop(0)
            negated, name = name.startswith("!"), name.removeprefix("!").lower()
            if name == "all":
                held = True
            elif name in {"final", "canonical"}:
                self._found.wants_final |= name == "final"
                held = self._found.final
            else:
                held = self._compare(name, rest)
            if held == negated:
                return False
        return True

    def _compare(self, name: str, rest: list[str]) -> bool:
        found = self._found
        actual = {
            "host": found.host_now().lower(),
            "originalhost": found.name.lower(),
            "user": found.value("user") or local_user(),
            "localuser": local_user(),
        }.get(name)
        if actual is None:
            raise ConfigError(
                f"{self._place}: `Match {name}` is not supported, and whether it holds decides"
                f" about {found.name}",
                hint="use Host, or Match with host, originalhost, user, localuser, final or all;"
                ' or set ssh_config to a file of its own, or to "none"',
            )
        if not rest:
            raise ConfigError(f"{self._place}: Match {name} has no value")
        patterns = rest.pop(0)
        if name in {"host", "originalhost"}:
            patterns = patterns.lower()
        return any_fits(patterns.split(","), actual)


def _attribute(word: str) -> tuple[str, ...]:
    """``host=a`` is the same as ``host a``."""
    name, equals, value = word.partition("=")
    known = name.removeprefix("!").isalpha()
    return (name, value) if equals and value and known else (word,)


def any_fits(patterns: Sequence[str], name: str) -> bool:
    """Whether one of the patterns fits, and none of those with ``!`` does."""
    fits = [pattern for pattern in patterns if _fits(pattern.removeprefix("!"), name)]
    return bool(fits) and not any(pattern.startswith("!") for pattern in fits)


def _fits(pattern: str, name: str) -> bool:
    """Match ``*`` and ``?``; OpenSSH knows no brackets."""
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None
