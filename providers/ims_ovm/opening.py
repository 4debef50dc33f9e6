"""The Manager that a pool's settings name."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from ims_core.errors import ConfigError
from ims_ovm.manager import Manager
from ims_ovm.password import read_password
from ims_ovm.wire.client import Client
from ims_ovm.wire.statuses import Statuses
from ims_ovm.wire.table import corrected
from ims_ovm.wire.transport import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["open_manager"]


def open_manager(settings: Mapping[str, Any]) -> Manager:
    """A Manager that was not asked anything yet.

    Raises:
        ConfigError: The password or the authorities cannot be read, or the table is corrected by
            what it has not.
    """
    connection = Connection(
        url=settings["manager"],
        user=settings["manager_user"],
        password=read_password(settings["password_file"]) if settings["auth"] != "none" else "",
        auth=settings["auth"],
        ca_file=_trusted(settings["ca_file"]),
        seconds=settings["timeout"],
        cache=str(Path(platformdirs.user_cache_dir("ims")) / "ovm"),
    )
    client = Client(connection, corrected(settings["operations"], settings["fields"]))
    return Manager(client, Statuses(settings["statuses"]), settings["server_pool"])


def _trusted(path: str) -> str:
    if not path:
        return ""
    file = Path(path).expanduser()
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        raise ConfigError(
            f"ca_file {path!r} cannot be used: {error.strerror or error}",
            hint="it is a file of certificates in PEM",
        ) from None
    return str(file)
