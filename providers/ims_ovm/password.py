"""The password of the Manager's user: never in the settings, never in a URL."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ims_core.errors import ConfigError

__all__ = ["VARIABLE", "read_password"]

VARIABLE = "IMS_OVM_PASSWORD"

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LONGEST = 1024


def read_password(path: str) -> str:
    """The first line of that file; without a file, what the environment says.

    Raises:
        ConfigError: It cannot be read, others may read it as well, or there is no password in it.
    """
    if not path:
        return os.environ.get(VARIABLE, "")
    try:
        with open(Path(path).expanduser(), encoding="utf-8", opener=_opened) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"password_file {path!r} is no plain file")
            if mode & _OTHERS:
                raise ConfigError(
                    f"password_file {path!r} may be read by others", hint=f"chmod 600 {path}"
                )
            line = file.readline(_LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"password_file {path!r} cannot be read: {getattr(error, 'strerror', 'no UTF-8')}",
            hint=f"make it a text file for you alone, or set {VARIABLE} instead",
        ) from None
    password = line.rstrip("\r\n")
    if not password or len(password) > _LONGEST:
        raise ConfigError(
            f"password_file {path!r} is empty, or its first line too long",
            hint="write the password into it",
        )
    return password


def _opened(path: str, flags: int) -> int:
    """A pipe that nobody writes to is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)
