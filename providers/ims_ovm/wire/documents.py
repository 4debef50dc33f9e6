"""The Manager's WSDLs as files, for a day: asking for them takes longer than most of its answers.

Whatever is wrong with the files, the Manager can be asked; so nothing here is ever an error.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

__all__ = ["Documents"]

_SECONDS = 24 * 3600


class Documents:
    """What one Manager served, by its address there. Safe to be used by several at once."""

    def __init__(self, directory: str, manager: str) -> None:
        """Use a folder in that directory, which this user alone may enter; none if it is empty."""
        self._folder = Path(directory) / quote(manager, safe="") if directory else None

    def get(self, url: str) -> bytes | None:
        """The document as it was served, unless that is long ago or the file was damaged."""
        if self._folder is None:
            return None
        with suppress(OSError):
            file = self._folder / _digest(url.encode())
            digest, _, content = file.read_bytes().partition(b"\n")
            young = 0 <= time.time() - file.stat().st_mtime < _SECONDS
            if young and digest == _digest(content).encode():
                return content
        return None

    def put(self, url: str, content: bytes) -> None:
        """Keep it, in one step."""
        if self._folder is None:
            return
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as aside:
                file = Path(aside, "new")
                file.write_bytes(_digest(content).encode() + b"\n" + content)
                file.replace(self._folder / _digest(url.encode()))

    def forget(self) -> None:
        """Have the Manager asked again."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
