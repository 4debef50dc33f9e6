"""A context as cloud-config, the part of user-data that cloud-init's modules act on."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from ims_bootparams.guest import cloud_init_step
from ims_core.errors import InvalidError
from ims_core.models import User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_core.models import Context, File

__all__ = ["PROPERTIES_FILE", "STEP", "identity", "needs_users", "steps", "written"]

PROPERTIES_FILE = "/etc/ims/properties.json"
"""In the guest: properties and secrets as one JSON object, for root only."""

STEP = "/var/lib/ims/cloud-init/step"
"""In the guest: what runs each file's check and each script, and notes the result."""

_OWN = "/var/lib/ims/"
_SCRIPTS = f"{_OWN}scripts"
_ROOTS = ("root", "root:root")


def identity(context: Context) -> dict[str, Any]:
    """Whom the context's keys belong to; empty if that is as the image has it."""
    if context.default_user == "root":
        # The keys are always given to root as well, but by default so that they let nobody in.
        return {"disable_root": False}
    if context.default_user:
        # Not among `users`, where the image's settings of its default user would go before these.
        described = {user.name: user for user in context.users}
        user = described.get(context.default_user, User(context.default_user))
        return {"user": _user(user)}
    return {}


def needs_users(file: File) -> bool:
    """Whether a file must wait until the users are there.

    It does if it is one's, or in a home that would otherwise be made before its user.
    """
    return file.owner not in _ROOTS or file.path.startswith("/home/")


def written(context: Context, *, all_files: bool = True) -> dict[str, Any]:
    """All that the modules make; empty if there is nothing to be made.

    Args:
        context: Valid.
        all_files: Whether the contents of all files of the context are in it; otherwise those of
            the files that need users, and the layout delivers the others in a way of its own.
    """
    config: dict[str, Any] = {}
    # root is never the one that `user` describes (see identity).
    described = {context.default_user} - {"root"}
    others = [user for user in context.users if user.name not in described]
    if others:
        config["users"] = ["default", *map(_user, others)]
    if context.host_keys:
        config["ssh_keys"] = {
            f"{key.type}_{half}": text
            for key in context.host_keys
            for half, text in (("private", key.private), ("public", key.public))
        }
    _refuse_own_paths(context)
    entries = [_written(file) for file in context.files if all_files or needs_users(file)]
    if context.properties or context.secrets:
        values = {**context.properties, **context.secrets}
        text = json.dumps(values, indent=1) + "\n"
        entries.append(_entry(PROPERTIES_FILE, text.encode(), mode=0o600))
    for index, script in enumerate(context.scripts):
        entries.append(_entry(f"{_SCRIPTS}/{index:04}", script.content, mode=0o700))
    commands = steps(context)
    if commands:
        entries.append(_entry(STEP, cloud_init_step(), mode=0o700))
        config["runcmd"] = [list(command) for command in commands.values()]
    if entries:
        config["write_files"] = entries
    return config


def steps(context: Context) -> Mapping[str, Sequence[str]]:
    """The commands to be run once, in order, by the names of their items."""
    commands: dict[str, Sequence[str]] = {}
    for index, file in enumerate(context.files):
        digest = hashlib.sha256(file.content).hexdigest()
        words = ("placed", file.path, digest, f"{file.mode:04o}", file.owner)
        commands[f"files.{index}"] = ("sh", STEP, f"files.{index}", *words)
    for index, _ in enumerate(context.scripts):
        path = f"{_SCRIPTS}/{index:04}"
        commands[f"scripts.{index}"] = ("sh", STEP, f"scripts.{index}", path)
    return commands


def _refuse_own_paths(context: Context) -> None:
    """Nothing of the caller's is replaced by what is written here."""
    for index, file in enumerate(context.files):
        if file.path == PROPERTIES_FILE or file.path.startswith(_OWN):
            raise InvalidError(
                f"context.files[{index}].path: {file.path} is written by IMS itself",
                hint="Put it elsewhere.",
            )


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
    """The step gives it its owner; here a number would break the module (cloud-init 22.4)."""
    entry = _entry(file.path, file.content, mode=file.mode)
    return entry | {"defer": True} if needs_users(file) else entry


def _entry(path: str, content: bytes, *, mode: int) -> dict[str, Any]:
    return {
        "path": path,
        "content": base64.b64encode(content).decode(),
        "encoding": "b64",
        "permissions": f"{mode:04o}",
        "owner": "root:root",
    }
