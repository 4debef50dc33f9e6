"""``nocloud``: what cloud-init's NoCloud data source reads from a medium labelled ``cidata``.

``meta-data`` tells the identity and the keys, ``network-config`` the network, and ``user-data``
the rest, as ``#cloud-config``. Raw user data takes the place of the latter, byte for byte; what
would have stood there is refused beside it; but for the default user, which raw user data decides
for itself.

cloud-init runs scripts once for each instance id, that is once in a VM's life, and not again for
a new digest; and it sends no receipt.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from ims_bootparams.layouts import Layout
from ims_bootparams.validation import check_renderable
from ims_core.errors import InvalidError
from ims_core.models import Carrier, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context, File, Interface

__all__ = ["LAYOUT", "PROPERTIES_FILE", "render"]

PROPERTIES_FILE = "/etc/ims/properties.json"
"""In the guest: properties and secrets as one JSON object, for root only."""

_SCRIPTS = "/var/lib/ims/scripts"
_LAST_OF_BMP = 0xFFFF
_NOT_PRINTABLE = re.compile(r"[^\n -~]")


def render(context: Context) -> Mapping[str, bytes]:
    """The medium's files for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right, or raw user data comes with a field that
            would need user data of its own; the message names the field.
    """
    check_renderable(context)
    meta_data: dict[str, Any] = {
        "instance-id": context.instance_id,
        "local-hostname": context.hostname,
    }
    if context.ssh_keys:
        meta_data["public-keys"] = list(context.ssh_keys)
    files = {"meta-data": _yaml(meta_data), "user-data": _user_data(context)}
    if context.interfaces:  # without any, cloud-init's own default is DHCP on the first card
        ethernets = {f"eth{i}": _ethernet(card) for i, card in enumerate(context.interfaces)}
        # Bare, without a `network:` around it, which older releases refuse.
        files["network-config"] = _yaml({"version": 2, "ethernets": ethernets})
    return files


def _user_data(context: Context) -> bytes:
    if context.user_data is None:
        config = _cloud_config(context)
        return b"#cloud-config\n" + (_yaml(config) if config else b"")
    for field in ("users", "properties", "secrets", "files", "scripts"):
        if getattr(context, field):
            raise InvalidError(
                f"context.{field}: the layout nocloud cannot carry it beside raw user data",
                hint=f"Write it into the user data, or leave out either of the two ({field}).",
            )
    return context.user_data


def _cloud_config(context: Context) -> dict[str, Any]:
    config: dict[str, Any] = {}
    users = {user.name: user for user in context.users}
    if context.default_user == "root":
        # The keys are always given to root as well, but by default so that they let nobody in.
        config["disable_root"] = False
    elif context.default_user:
        # Not among `users`, where the image's settings of its default user would go before these.
        config["user"] = _user(users.pop(context.default_user, User(context.default_user)))
    if users:
        config["users"] = ["default", *map(_user, users.values())]
    written = [_written(file) for file in context.files]
    if context.properties or context.secrets:
        values = {**context.properties, **context.secrets}
        content = json.dumps(values, indent=1).encode()
        written.append(_entry(PROPERTIES_FILE, content, mode=0o600))
    paths = [f"{_SCRIPTS}/{index:04}" for index, _ in enumerate(context.scripts)]
    for path, script in zip(paths, context.scripts, strict=True):
        written.append(_entry(path, script.content, mode=0o700))
    if written:
        config["write_files"] = written
    if paths:
        config["runcmd"] = [[path] for path in paths]
    return config


def _user(user: User) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": user.name}
    if user.ssh_keys:
        entry["ssh_authorized_keys"] = list(user.ssh_keys)
    if user.password_hash:
        entry["hashed_passwd"] = user.password_hash
        entry["lock_passwd"] = False
    if user.sudo:
        entry["sudo"] = "ALL=(ALL) NOPASSWD:ALL"
    return entry


def _written(file: File) -> dict[str, Any]:
    entry = _entry(file.path, file.content, mode=file.mode, owner=file.owner)
    if file.owner not in ("root", "root:root"):
        entry["defer"] = True  # until the users are there
    return entry


def _entry(path: str, content: bytes, *, mode: int, owner: str = "root:root") -> dict[str, Any]:
    return {
        "path": path,
        "content": base64.b64encode(content).decode(),
        "encoding": "b64",
        "permissions": f"{mode:04o}",
        "owner": owner,
    }


def _ethernet(interface: Interface) -> dict[str, Any]:
    entry: dict[str, Any] = {"match": {"macaddress": interface.mac}}
    if interface.addresses:
        entry["addresses"] = list(interface.addresses)
    else:
        entry["dhcp4"] = True
    for gateway in interface.gateways:
        # Not `routes`: cloud-init 22.4 makes ::/64 of ::/0, and does not know `default`.
        entry["gateway6" if ":" in gateway else "gateway4"] = gateway
    nameservers = {"addresses": interface.nameservers, "search": interface.search}
    given = {key: list(values) for key, values in nameservers.items() if values}
    if given:
        entry["nameservers"] = given
    return entry


def _yaml(value: Mapping[str, Any]) -> bytes:
    """Plain data as YAML, in its flow style: JSON, but for one thing.

    Loading a YAML library costs a twentieth of a whole create. JSON is YAML (YAML 1.2, section
    1.3) except that it escapes a character beyond U+FFFF as two surrogates. Every character that
    is not printable ASCII is escaped here as YAML does it (section 5.7), so no reader can take one
    for a line break.
    """
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return _NOT_PRINTABLE.sub(_escape, text).encode("ascii")


def _escape(character: re.Match[str]) -> str:
    code = ord(character[0])
    return f"\\u{code:04x}" if code <= _LAST_OF_BMP else f"\\U{code:08x}"


LAYOUT = Layout(
    name="nocloud",
    label="cidata",
    render=render,
    reader="cloud-init",
    carriers=(Carrier.ISO, Carrier.FAT_DISK),
)
