"""Checks of a context before anything is made from it.

Each error names the field, as in ``context.files[2].path``, and its hint says what to do. The
value of a password hash, a property or a secret never stands in an error.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from ims_bootparams.receipt import MAX_ITEMS
from ims_bootparams.validation.common import check_hostname, check_text, check_unique, invalid
from ims_bootparams.validation.keys import check_host_keys, check_ssh_keys
from ims_bootparams.validation.network import check_interfaces
from ims_bootparams.validation.seed import check_seed_url
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context, File, Script, User

__all__ = ["MAX_BYTES", "check_context", "check_files", "check_renderable"]

MAX_BYTES = 64 * 1024 * 1024
"""Bytes that the contents of files and scripts and raw user data may have together."""

_MAX_PATH = 4000
_MAX_FILE_NAME = 240  # 255 in every common filesystem, less what a temporary name may add
_MAX_MODE = 0o7777
_MAX_SCRIPT_NAME = 100

_INSTANCE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_OWNER = re.compile(r"([a-z_][a-z0-9_-]{0,31}|[0-9]{1,10})(:([a-z_][a-z0-9_-]{0,31}|[0-9]{1,10}))?")
# What crypt(3) makes, or the two words for "no password fits". Never a colon: it ends the field.
_PASSWORD_HASH = re.compile(
    r"\$[0-9a-z-]{1,16}\$([!-#%-9;-~]{1,400}\$){1,3}[./0-9A-Za-z]{22,200}|[!*]"
)


def check_context(context: Context) -> None:
    """Refuse a context that no guest could apply as it is meant.

    An interface may still lack its MAC, since the service chooses it later.

    Args:
        context: As the caller gave it.

    Raises:
        InvalidError: The first field that cannot be right.
    """
    if not _INSTANCE_ID.fullmatch(context.instance_id):
        raise invalid("context.instance_id", "it is not a UUID", "Give the VM's UUID.")
    check_hostname("context.hostname", context.hostname)
    _check_count(context)
    _check_size(context)
    check_interfaces(context.interfaces)
    check_ssh_keys("context.ssh_keys", context.ssh_keys)
    if context.default_user:
        _check_user("context.default_user", context.default_user)
    _check_users(context.users)
    check_host_keys(context.host_keys)
    _check_properties(context)
    check_files("context.files", context.files)
    _check_scripts(context.scripts)
    if context.seed_url:
        check_seed_url("context.seed_url", context.seed_url)


def check_renderable(context: Context, *, tells_seed: bool = False) -> None:
    """As :func:`check_context`, and each interface has its MAC, by which the guest knows it.

    Args:
        context: About to be rendered.
        tells_seed: Whether this layout tells the guest ``seed_url``; no other one takes it, since
            it would do nothing there.

    Raises:
        InvalidError: The first field that cannot be right.
    """
    check_context(context)
    if context.seed_url and not tells_seed:
        hint = "Leave it out, or use the layout nocloud-net, and leave out what it cannot carry."
        raise invalid("context.seed_url", "this layout does not tell it", hint)
    for index, interface in enumerate(context.interfaces):
        if not interface.mac:
            field = f"context.interfaces[{index}].mac"
            raise invalid(field, "it is empty", "Choose a MAC before the context is rendered.")


def _check_count(context: Context) -> None:
    """Refuse more than a receipt can answer for: such a VM could never be ready."""
    counts = {
        field: len(getattr(context, field))
        for field in ("interfaces", "users", "host_keys", "files", "scripts")
    }
    if sum(counts.values()) > MAX_ITEMS:
        most = max(counts, key=lambda field: counts[field])
        problem = f"there are {counts[most]}, of {sum(counts.values())} items in all"
        hint = f"Give at most {MAX_ITEMS} {', '.join(counts)} together; pack many into one file."
        raise invalid(f"context.{most}", problem, hint)


def _check_size(context: Context) -> None:
    """Refuse what no carrier holds, before it is copied into one layout after the other."""
    sizes = {"context.user_data": len(context.user_data or b"")}
    for index, file in enumerate(context.files):
        sizes[f"context.files[{index}].content"] = len(file.content)
    for index, script in enumerate(context.scripts):
        sizes[f"context.scripts[{index}].content"] = len(script.content)
    if sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=lambda field: sizes[field])
        raise InvalidError(
            f"{largest}: it has {sizes[largest]} bytes, of {sum(sizes.values())} in all",
            code="context-too-large",
            hint=f"Give at most {MAX_BYTES} bytes; let the guest fetch what is larger.",
        )


def _check_user(field: str, name: str) -> None:
    if not _USER.fullmatch(name):
        hint = "Use a-z, 0-9, _ and -, up to 32, the first no digit and no hyphen."
        raise invalid(field, f"{name!r} is not a user name", hint)


def _check_users(users: tuple[User, ...]) -> None:
    for index, user in enumerate(users):
        field = f"context.users[{index}]"
        _check_user(f"{field}.name", user.name)
        check_ssh_keys(f"{field}.ssh_keys", user.ssh_keys)
        if user.password_hash and not _PASSWORD_HASH.fullmatch(user.password_hash):
            hint = "Make one with `openssl passwd -6`; never give the password itself."
            raise invalid(f"{field}.password_hash", "it is not a crypt(3) hash", hint)
    check_unique("context.users[{}].name", (user.name for user in users), "Merge the two.")


def _check_properties(context: Context) -> None:
    _check_mapping("context.properties", context.properties)
    _check_mapping("context.secrets", context.secrets)
    for name in context.secrets:
        if name in context.properties:
            hint = "Keep only the secret."
            raise invalid(f"context.secrets[{name!r}]", "it is also a property", hint)


def _check_mapping(field: str, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        item = f"{field}[{name!r}]"
        check_text(item, name)
        if not name or "\n" in name or "=" in name:
            hint = "Give a name without '=' and line breaks."
            raise invalid(item, "its name is empty, or holds '=' or a line break", hint)
        check_text(item, value)


def check_files(name: str, files: tuple[File, ...]) -> None:
    """Refuse files that no guest could have.

    Args:
        name: Of the field, as ``context.files``.
        files: About to be told, or put there.

    Raises:
        InvalidError: The first of them that cannot be right.
    """
    for index, file in enumerate(files):
        field = f"{name}[{index}]"
        _check_path(f"{field}.path", file.path)
        if not 0 <= file.mode <= _MAX_MODE:
            problem = f"{file.mode:#o} is not a mode"
            raise invalid(f"{field}.mode", problem, "Give four octal digits, such as 0o644.")
        if not _OWNER.fullmatch(file.owner):
            hint = "Write user:group, by name or by number."
            raise invalid(f"{field}.owner", f"{file.owner!r} is not an owner", hint)
    check_unique(f"{name}[{{}}].path", (file.path for file in files), "Keep one of them.")
    paths = {file.path for file in files}
    for index, file in enumerate(files):
        above = next((each for each in _above(file.path) if each in paths), "")
        if above:
            problem = f"{file.path!r} is below {above!r}, which is a file"
            raise invalid(f"{name}[{index}].path", problem, "Rename one of them.")


def _above(path: str) -> list[str]:
    """The directories that a path is in."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(2, len(parts))]


def _check_path(field: str, path: str) -> None:
    check_text(field, path)
    if not path.startswith("/") or path == "/":
        raise invalid(field, f"{path!r} is not an absolute path", "Begin it with / and a name.")
    if ".." in path.split("/"):
        raise invalid(field, f"{path!r} holds '..'", "Write the path without it.")
    plain = posixpath.normpath(path).replace("//", "/")
    if plain != path:
        raise invalid(field, f"{path!r} is not in its plain form", f"Write {plain!r}.")
    encoded = path.encode()
    if len(encoded) > _MAX_PATH or max(map(len, encoded.split(b"/"))) > _MAX_FILE_NAME:
        hint = f"Use at most {_MAX_PATH} bytes, and {_MAX_FILE_NAME} for each part."
        raise invalid(field, "it is too long", hint)


def _check_scripts(scripts: tuple[Script, ...]) -> None:
    for index, script in enumerate(scripts):
        field = f"context.scripts[{index}].name"
        check_text(field, script.name)
        if not script.name.isprintable() or not 1 <= len(script.name) <= _MAX_SCRIPT_NAME:
            hint = f"Give one of up to {_MAX_SCRIPT_NAME} printable characters."
            raise invalid(field, f"{script.name!r} cannot be a name", hint)
    check_unique("context.scripts[{}].name", (s.name for s in scripts), "Rename one of them.")
