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

    def read(self, option: str, path: str, *, secret: bool = False) -> bytes:
        """The bytes of a file, or of stdin for ``-``.

        Args:
            option: Named in errors.
            path: Named in them too, unless it is ``secret``.
            secret: What should be a path may be the secret itself, given in the wrong way.

        Raises:
            InvalidError: It cannot be read, or is larger than any context.
        """
        try:
            content = self._stdin(option) if path == STDIN else _file(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise InvalidError(
                f"{option}: cannot read {_named(path, secret=secret)}: {reason}",
                code="unreadable-file",
                hint="give the path of a readable file",
            ) from None
        if len(content) > _MOST:
            raise InvalidError(
                f"{option}: {_named(path, secret=secret)} is larger than {_MOST} bytes",
                code="context-too-large",
                hint="deliver large files by other means, and only their address in the context",
            )
        return content

    def read_text(self, option: str, path: str, *, secret: bool = False) -> str:
        """The same as text, which must be UTF-8."""
        try:
            return self.read(option, path, secret=secret).decode()
        except UnicodeDecodeError:
            raise InvalidError(
                f"{option}: {_named(path, secret=secret)} is not UTF-8 text",
                hint="use --file for bytes",
            ) from None

    def _stdin(self, option: str) -> bytes:
        if self._stdin_taken_by:
            raise InvalidError(
                f"{option}: {self._stdin_taken_by} has read stdin already",
                hint="give one of them a file",
            )
        self._stdin_taken_by = option
        return sys.stdin.buffer.read(_MOST + 1) if sys.stdin else b""


def _named(path: str, *, secret: bool) -> str:
    return "the file named after the =" if secret else repr(path)


def _file(path: str) -> bytes:
    with Path(path).expanduser().open("rb") as file:
        return file.read(_MOST + 1)
