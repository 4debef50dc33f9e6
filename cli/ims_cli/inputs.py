"""Local files and stdin, read for options: bounded, and with errors that name the option."""

from __future__ import annotations

import sys
from pathlib import Path

from ims_core.errors import InvalidError

__all__ = ["STDIN", "Inputs"]

STDIN = "-"
_MOST = 64 * 1024 * 1024


class Inputs:
    """What one command line reads; stdin at most once."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._stdin_taken_by = ""

    def read(self, option: str, path: str) -> bytes:
        """The bytes of a file, or of stdin for ``-``.

        Raises:
            InvalidError: It cannot be read, or is larger than any context.
        """
        try:
            content = self._stdin(option) if path == STDIN else _file(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise InvalidError(
                f"{option}: cannot read {path!r}: {reason}",
                code="unreadable-file",
                hint="give the path of a readable file",
            ) from None
        if len(content) > _MOST:
            raise InvalidError(
                f"{option}: {path!r} is larger than {_MOST} bytes",
                code="context-too-large",
                hint="deliver large files by other means, and only their address in the context",
            )
        return content

    def read_text(self, option: str, path: str) -> str:
        """The same as text, which must be UTF-8."""
        try:
            return self.read(option, path).decode()
        except UnicodeDecodeError:
            raise InvalidError(
                f"{option}: {path!r} is not UTF-8 text", hint="use --file for bytes"
            ) from None

    def read_secret(self, option: str, path: str) -> str:
        """As :meth:`read_text`; what should be a path is not repeated: it may be the secret."""
        try:
            return self.read(option, path).decode()
        except UnicodeDecodeError:
            problem, hint = "the file is not UTF-8 text", "use --file for bytes"
            raise InvalidError(f"{option}: {problem}", hint=hint) from None
        except InvalidError as error:
            if path not in error.message:
                raise
            raise InvalidError(
                f"{option}: what follows the = is not the path of a file that can be read",
                code=error.code,
                hint="give the path of a file that holds the secret, or - for stdin",
            ) from None

    def _stdin(self, option: str) -> bytes:
        if self._stdin_taken_by:
            raise InvalidError(
                f"{option}: {self._stdin_taken_by} has read stdin already",
                hint="give one of them a file",
            )
        self._stdin_taken_by = option
        return sys.stdin.buffer.read(_MOST + 1) if sys.stdin else b""


def _file(path: str) -> bytes:
    with Path(path).expanduser().open("rb") as file:
        return file.read(_MOST + 1)
