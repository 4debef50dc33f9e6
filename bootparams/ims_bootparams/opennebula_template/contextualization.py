"""What a template's ``CONTEXT`` comes to.

An attribute that IMS has a place for (the host name, keys, user data, scripts, files) is taken out
of the variables; the others are left among them, as they would stand in ``context.sh``.

Source: OpenNebula's ``VirtualMachineContext.cc``; its guest packages (one-contextd); cloud-init's
OpenNebula source.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_bootparams.opennebula_template.files import medium_files
from ims_bootparams.opennebula_template.machine import Machine, machine
from ims_bootparams.opennebula_template.variables import MAX_CHARACTERS, Variables
from ims_bootparams.validation.common import check_hostname
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_bootparams.opennebula_template.files import MediumFile
    from ims_bootparams.opennebula_template.syntax import Template
    from ims_bootparams.opennebula_template.variables import Facts

__all__ = ["Contextualization", "resolve"]

_NONE: Mapping[str, str] = MappingProxyType({})
_FILES_DS = "FILES_DS"  # its variables are others, and mean files


@dataclass(frozen=True, slots=True)
class Contextualization:
    """What a template orders and tells, with nothing left to look up.

    Attributes:
        machine: The VM that it orders.
        hostname: From ``SET_HOSTNAME`` or ``HOSTNAME``, the first that is a host name; empty if
            none is.
        username: From ``USERNAME``: whom the keys belong to.
        ssh_keys: From ``SSH_PUBLIC_KEY`` and ``EC2_PUBLIC_KEY``, each line once.
        user_data: From ``USER_DATA`` or ``USERDATA``, decoded.
        start_script: From ``START_SCRIPT_BASE64`` or ``START_SCRIPT``, decoded.
        init_scripts: Names of files to be run in order, from ``INIT_SCRIPTS``; if that is not
            given, ``init.sh`` where there is such a file.
        files: For the medium.
        token: Whether ``token.txt`` is asked for; then ``ONEGATE_ENDPOINT`` and ``VMID`` are among
            the variables.
        network: Whether the guest is to be told what is known of its cards.
        variables: All others by name. A password may be among them.
    """

    machine: Machine
    hostname: str = ""
    username: str = ""
    ssh_keys: tuple[str, ...] = ()
    user_data: bytes | None = field(default=None, repr=False)
    start_script: bytes | None = field(default=None, repr=False)
    init_scripts: tuple[str, ...] = ()
    files: tuple[MediumFile, ...] = ()
    token: bool = False
    network: bool = False
    variables: Mapping[str, str] = field(default_factory=lambda: _NONE, repr=False)


def resolve(template: Template, facts: Facts) -> Contextualization:
    """What the template comes to for this VM.

    Args:
        template: As :func:`~.syntax.parse` read it.
        facts: What is known of the VM and around it.

    Raises:
        InvalidError: It orders what IMS does not make, a variable is not known, or an attribute
            cannot be right; the message names the attribute.
    """
    context = _context(template)
    values = _expanded(context, Variables(template, facts))
    token = _is_yes(values.get("TOKEN", ""))
    if token:
        values |= _onegate(facts)
    files = medium_files(values.pop("FILES", ""), context.get(_FILES_DS, ""), facts.files)
    return Contextualization(
        machine=machine(template),
        hostname=_hostname(values),
        username=values.pop("USERNAME", ""),
        ssh_keys=_ssh_keys(values),
        user_data=_user_data(values),
        start_script=_start_script(values),
        init_scripts=_init_scripts(values, {file.name for file in files}),
        files=files,
        token=token,
        network=_is_yes(values.pop("NETWORK", "")),
        variables=MappingProxyType(values),
    )


def _context(template: Template) -> Mapping[str, str]:
    contexts = template.vectors("CONTEXT")
    if len(contexts) > 1:
        raise InvalidError(f"CONTEXT: it is given {len(contexts)} times", hint="Make one of them.")
    return contexts[0] if contexts else {}


def _expanded(context: Mapping[str, str], variables: Variables) -> dict[str, str]:
    values: dict[str, str] = {}
    room = MAX_CHARACTERS
    for name, text in context.items():
        if name != _FILES_DS:
            values[name] = variables.expand(f"CONTEXT.{name}", text, room)
            room -= len(values[name])
    return values


def _is_yes(value: str) -> bool:
    return value.upper() == "YES"


def _onegate(facts: Facts) -> dict[str, str]:
    if not facts.onegate_endpoint:
        hint = "Say where OneGate listens, or remove TOKEN."
        raise InvalidError("CONTEXT.TOKEN: no OneGate endpoint is known", hint=hint)
    return {"ONEGATE_ENDPOINT": facts.onegate_endpoint, "VMID": str(facts.vmid)}


def _hostname(values: dict[str, str]) -> str:
    for name in ("SET_HOSTNAME", "HOSTNAME"):
        try:
            check_hostname(name, values.get(name, ""))
        except InvalidError:
            continue  # it stays a variable, and the guest's packages make of it what they can
        return values.pop(name)
    return ""


def _ssh_keys(values: dict[str, str]) -> tuple[str, ...]:
    text = "\n".join(values.pop(name, "") for name in ("SSH_PUBLIC_KEY", "EC2_PUBLIC_KEY"))
    lines = (line.strip() for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _user_data(values: dict[str, str]) -> bytes | None:
    data, other = (values.pop(name, "") for name in ("USER_DATA", "USERDATA"))
    encodings = [values.pop(f"{name}_ENCODING", "") for name in ("USER_DATA", "USERDATA")]
    name, text = ("USER_DATA", data) if data else ("USERDATA", other)
    if not text:
        return None
    encoding = next(filter(None, encodings), "")
    if encoding not in ("", "base64"):
        hint = "Write base64, or leave it out for plain text."
        raise InvalidError(f"CONTEXT.{name}_ENCODING: {encoding!r} is not known", hint=hint)
    return _decoded(name, text) if encoding else text.encode()


def _start_script(values: dict[str, str]) -> bytes | None:
    encoded, text = (values.pop(name, "") for name in ("START_SCRIPT_BASE64", "START_SCRIPT"))
    if encoded:
        return _decoded("START_SCRIPT_BASE64", encoded)
    return text.encode() if text else None


def _init_scripts(values: dict[str, str], files: set[str]) -> tuple[str, ...]:
    names = tuple(values.pop("INIT_SCRIPTS", "").split())
    for name in names:
        if name not in files:
            hint = "Put it into FILES, or remove it here."
            raise InvalidError(f"CONTEXT.INIT_SCRIPTS: there is no file {name!r}", hint=hint)
    return names or tuple({"init.sh"} & files)


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        hint = "Give what `base64 -w0 FILE` writes."
        raise InvalidError(f"CONTEXT.{name}: it is not base64", hint=hint) from None
