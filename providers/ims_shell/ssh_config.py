"""What ssh_config says about a host, of all that a connection depends on.

The words that count are :data:`~ims_shell.ssh_words.HONOURED`. Those in
:data:`~ims_shell.ssh_words.IGNORED` make no difference, and those in
:data:`~ims_shell.ssh_words.AGREED` may stand there with the value that is in force anyway. Any
other word that applies to the host is an error: a setting about safety is never passed over in
silence.

One difference to OpenSSH: a user's home is ``$HOME``, as for every other file that IMS reads.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from ims_core.errors import ConfigError
from ims_shell.ssh_files import Found, Said, local_user, read_files, system_folder, user_folder
from ims_shell.ssh_words import AGREED, HONOURED, IGNORED

__all__ = ["AGREED", "HONOURED", "IGNORED", "Hop", "Host", "look_up", "parse_hop"]

DEFAULT_PORT = 22
_LAST_PORT = 65535
_AGREED = {word.lower(): values for word, values in AGREED.items()}
_PASSED = {word.lower() for word in HONOURED | IGNORED}
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}
_TOKEN = re.compile(r"%(.?)|\$\{(\w+)\}")
_FOR_SHELL = re.compile(r"[A-Za-z0-9_.:%@+][A-Za-z0-9_.:%@+-]*")
_HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>.+)@)?(?P<host>\[[^\]@]+\]|[^:\[\]@]+)(?::(?P<port>\d+))?/?"
)


@dataclass(frozen=True, slots=True)
class Hop:
    """One host of ``ProxyJump``, as it is written there."""

    host: str
    user: str
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """Where a connection goes, and how."""

    name: str
    """As it was asked for."""
    address: str
    """Host name or IP address to connect to, in lower case."""
    port: int
    user: str
    identity_files: tuple[Path, ...] | None
    """``None``: the default ones."""
    identities_only: bool
    """Whether an agent may offer only the keys of those files."""
    known_hosts: tuple[Path, ...]
    jumps: tuple[Hop, ...] = ()
    """In the order in which they are passed."""
    command: str = ""
    """For a shell, to talk through; never together with jumps."""

    @property
    def known_as(self) -> str:
        """Its name in known_hosts."""
        return self.address if self.port == DEFAULT_PORT else f"[{self.address}]:{self.port}"


def look_up(name: str, *, config: str = "", user: str = "", port: int = 0) -> Host:
    """What the files say about a host.

    Args:
        name: An alias, a host name or an address.
        config: A file; empty for ``~/.ssh/config`` and then ``/etc/ssh/ssh_config``; ``none``.
        user: Wins over the files.
        port: Wins over the files.

    Raises:
        ConfigError: A file cannot be read or understood, or says something that IMS cannot obey.
    """
    found = Found(name)
    if user:
        found.add(Said("User", (user,), "the settings"))
    if port:
        found.add(Said("Port", (str(port),), "the settings"))
    read_files(found, config)
    _refuse_unknown(found)
    return _Builder(found).host()


def parse_hop(text: str, place: str) -> Hop:
    """One host of ``ProxyJump``: ``[user@]host[:port]``, or as a URI.

    Raises:
        ConfigError: It is none.
    """
    parts = _HOP.fullmatch(text.strip())
    if parts is None:
        raise ConfigError(f"{place}: ProxyJump {text!r} is not [user@]host[:port]")
    port = _port(parts["port"], place) if parts["port"] else 0
    return Hop(parts["host"].strip("[]"), parts["user"] or "", port)


def _refuse_unknown(found: Found) -> None:
    for word, (said, *_) in found.said.items():
        if word in _PASSED:
            continue
        value = " ".join(said.values)
        if value.lower() in _AGREED.get(word, ()):
            continue
        fix = f"`{said.word} {'` or `'.join(sorted(_AGREED[word]))}`" if word in _AGREED else ""
        raise ConfigError(
            f"{said.place}: `{said.word} {value}` applies to {found.name}, and IMS cannot obey it",
            code="ssh-config-word",
            hint=f"{f'say {fix} for this host, or ' if fix else ''}move it to a Host block that"
            f" does not fit {found.name}; or set ssh_config to a file of its own,"
            ' or to "none"',
        )


class _Builder:
    """Makes a :class:`Host` of what was found, and expands what is to be expanded."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._tokens = {"%": "%", "h": found.name}
        self._address = self._expand("hostname", found.value("hostname") or found.name).lower()
        said = found.said.get("port")
        self._port = _port(said[0].values[0], said[0].place) if said else DEFAULT_PORT
        self._user = found.value("user") or local_user()
        self._tokens = {
            "%": "%",
            "d": str(Path.home()),
            "h": self._address,
            "i": str(os.getuid()),
            "k": found.name,
            "L": socket.gethostname().partition(".")[0],
            "l": socket.gethostname(),
            "n": found.name,
            "p": str(self._port),
            "r": self._user,
            "u": local_user(),
        }

    def host(self) -> Host:
        files, known = self._identity_files(), self._known_hosts()
        return Host(
            self._found.name,
            self._address,
            self._port,
            self._user,
            identity_files=files,
            identities_only=self._identities_only(),
            known_hosts=known,
            jumps=self._jumps(),
            command=self._command(),
        )

    def _identity_files(self) -> tuple[Path, ...] | None:
        said = self._found.said.get("identityfile")
        if said is None:
            return None
        names = [line.values[0] for line in said if line.values[0].lower() != "none"]
        return tuple(self._path("identityfile", name) for name in names)

    def _identities_only(self) -> bool:
        said = self._found.said.get("identitiesonly")
        if said is None:
            return False
        value = said[0].values[0].lower()
        if value not in _TRUTH:
            raise ConfigError(f"{said[0].place}: IdentitiesOnly is `yes` or `no`, not `{value}`")
        return _TRUTH[value]

    def _known_hosts(self) -> tuple[Path, ...]:
        shared = system_folder() / "ssh_known_hosts"
        said = self._found.said.get("userknownhostsfile")
        if said is None:
            own = tuple(user_folder() / name for name in ("known_hosts", "known_hosts2"))
        else:
            names = [name for name in said[0].values if name.lower() != "none"]
            own = tuple(self._path("userknownhostsfile", name) for name in names)
        return (*own, shared)

    def _jumps(self) -> tuple[Hop, ...]:
        said = self._found.said.get("proxyjump")
        if said is None or said[0].values[0].lower() == "none":
            return ()
        text = self._expand("proxyjump", said[0].values[0])
        return tuple(parse_hop(hop, said[0].place) for hop in text.split(","))

    def _command(self) -> str:
        command = self._found.value("proxycommand")
        if command is None or command.lower() == "none":
            return ""
        for value in (self._address, self._user, self._found.name):
            if not _FOR_SHELL.fullmatch(value):
                raise ConfigError(f"{value!r} cannot be handed to the shell of a ProxyCommand")
        return self._expand("proxycommand", command)

    def _path(self, word: str, name: str) -> Path:
        return Path(self._expand(word, name, variables=True)).expanduser()

    def _expand(self, word: str, text: str, *, variables: bool = False) -> str:
        """Replace ``%h`` and its like, and in the names of files ``${NAME}``."""
        said = self._found.said.get(word)
        place = said[0].place if said else self._found.name

        def replace(match: re.Match[str]) -> str:
            token, variable = match.groups()
            if variable is None and token in self._tokens:
                return self._tokens[token]
            if variable is not None and not variables:
                return match[0]
            if variable is not None and variable in os.environ:
                return os.environ[variable]
            raise ConfigError(f"{place}: `{match[0]}` cannot be expanded here")

        return _TOKEN.sub(replace, text)


def _port(text: str, place: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= _LAST_PORT:
        return int(text)
    raise ConfigError(f"{place}: Port is a number from 1 to {_LAST_PORT}, not `{text}`")
