r"""``bootparams``: IMS' own layout, which any POSIX shell can read.

The medium, with the volume label ``IMS``, holds:

``bootparams.conf``
    UTF-8 text of assignments ``KEY='value'``, each ended by a newline::

        file  = 1*line
        line  = key "='" *( char / "'\''" ) "'" LF
        key   = "IMS_" 1*( "A"-"Z" / "0"-"9" / "_" )
        char  = any Unicode character but NUL and "'"

    A value may span lines. The first key is ``IMS_FORMAT``, no key comes twice, and there are no
    comments and no empty lines. So the file may be sourced by a shell, and may as well be read
    without one: see :func:`parse`.
``files/0000``, ``scripts/0000``, …, ``user-data``
    Contents of any bytes; the ``_SOURCE`` keys name them.

Every key is always there, with an empty value or the count 0 where there is nothing to tell.
``docs/bootparams-conf.md`` describes each key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_bootparams.layouts import Layout
from ims_bootparams.validation import check_renderable
from ims_core.errors import InvalidError
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_core.models import Context, Interface, User

__all__ = ["CONF_FILE", "FORMAT", "LAYOUT", "parse", "render"]

CONF_FILE = "bootparams.conf"
FORMAT = "1"

_LINE = re.compile(r"(IMS_[A-Z0-9_]+)='((?:[^'\0]++|'\\'')*+)'\n")


def render(context: Context) -> Mapping[str, bytes]:
    """The medium's files for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right; the message names the field.
    """
    check_renderable(context)
    lines = [f"IMS_{key}={_quote(value)}\n" for key, value in _pairs(context)]
    files = {CONF_FILE: "".join(lines).encode()}
    for index, file in enumerate(context.files):
        files[f"files/{index:04}"] = file.content
    for index, script in enumerate(context.scripts):
        files[f"scripts/{index:04}"] = script.content
    if context.user_data is not None:
        files["user-data"] = context.user_data
    return files


def parse(data: bytes) -> dict[str, str]:
    """Read ``bootparams.conf`` without a shell.

    Args:
        data: The whole file.

    Returns:
        Values by key, in the order of the file.

    Raises:
        InvalidError: Anything is outside the grammar, a key comes twice, or the format is unknown.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidError(f"{CONF_FILE}: not UTF-8 at byte {error.start}") from None
    values: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _LINE.match(text, position)
        if not match:
            line = text.count("\n", 0, position) + 1
            raise InvalidError(f"{CONF_FILE}: the entry at line {line} is not KEY='value'")
        key = match[1]
        if key in values:
            raise InvalidError(f"{CONF_FILE}: {key} comes twice")
        values[key] = match[2].replace(r"'\''", "'")
        position = match.end()
    if next(iter(values), None) != "IMS_FORMAT":
        raise InvalidError(f"{CONF_FILE}: the first key must be IMS_FORMAT")
    if values["IMS_FORMAT"] != FORMAT:
        raise InvalidError(f"{CONF_FILE}: format {values['IMS_FORMAT']!r} is not known")
    return values


def _quote(value: str) -> str:
    return "'" + value.replace("'", r"'\''") + "'"


def _pairs(context: Context) -> Iterator[tuple[str, str]]:
    yield "FORMAT", FORMAT
    yield "INSTANCE_ID", context.instance_id
    yield "HOSTNAME", context.hostname
    yield "SSH_KEYS", "\n".join(context.ssh_keys)
    yield "DEFAULT_USER", context.default_user
    yield "INTERFACES", str(len(context.interfaces))
    for index, interface in enumerate(context.interfaces):
        yield from _interface_pairs(f"INTERFACE_{index}", interface)
    yield "HOST_KEYS", str(len(context.host_keys))
    for index, key in enumerate(context.host_keys):
        yield f"HOST_KEY_{index}_TYPE", key.type
        yield f"HOST_KEY_{index}_PRIVATE", key.private
        yield f"HOST_KEY_{index}_PUBLIC", key.public
    yield "USERS", str(len(context.users))
    for index, user in enumerate(context.users):
        yield from _user_pairs(f"USER_{index}", user)
    # Names of properties are any text, so they are values here. Secrets lie among them: the
    # guest's applications need not know which is which, and the whole file is for root only.
    properties = [*context.properties.items(), *context.secrets.items()]
    yield "PROPERTIES", str(len(properties))
    for index, (name, value) in enumerate(properties):
        yield f"PROPERTY_{index}_NAME", name
        yield f"PROPERTY_{index}_VALUE", value
    yield "FILES", str(len(context.files))
    for index, file in enumerate(context.files):
        yield f"FILE_{index}_PATH", file.path
        yield f"FILE_{index}_MODE", f"{file.mode:04o}"
        yield f"FILE_{index}_OWNER", file.owner
        yield f"FILE_{index}_SOURCE", f"files/{index:04}"
    yield "SCRIPTS", str(len(context.scripts))
    for index, script in enumerate(context.scripts):
        yield f"SCRIPT_{index}_NAME", script.name
        yield f"SCRIPT_{index}_SOURCE", f"scripts/{index:04}"
    yield "USER_DATA_SOURCE", "" if context.user_data is None else "user-data"


def _interface_pairs(prefix: str, interface: Interface) -> Iterator[tuple[str, str]]:
    yield f"{prefix}_MAC", interface.mac
    yield f"{prefix}_METHOD", "static" if interface.addresses else "dhcp"
    yield f"{prefix}_ADDRESSES", " ".join(interface.addresses)
    yield f"{prefix}_GATEWAYS", " ".join(interface.gateways)
    yield f"{prefix}_NAMESERVERS", " ".join(interface.nameservers)
    yield f"{prefix}_SEARCH", " ".join(interface.search)


def _user_pairs(prefix: str, user: User) -> Iterator[tuple[str, str]]:
    yield f"{prefix}_NAME", user.name
    yield f"{prefix}_SSH_KEYS", "\n".join(user.ssh_keys)
    yield f"{prefix}_PASSWORD_HASH", user.password_hash
    yield f"{prefix}_SUDO", "yes" if user.sudo else "no"


LAYOUT = Layout(
    name="bootparams",
    label="IMS",
    render=render,
    reader="ims-context",
    carriers=tuple(carrier for carrier in Carrier if carrier is not Carrier.SMBIOS),
    answers=lambda _context: True,
    live=True,
)
