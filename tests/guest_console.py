"""A shell command inside the tiny guest, over whatever console its provider attaches to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from ims_core import Ims

__all__ = ["run_in_guest"]


def run_in_guest(ims: Ims, name: str, command: str) -> str:
    """The output of a shell command inside the guest, over its console."""
    begin, end = "IMS-BEGIN", "IMS-END"
    # Quotes keep the markers out of the echo of what is typed.
    typed = f"\nstty -echo; echo {begin[:4]}''{begin[4:]}; {command}; echo {end[:4]}''{end[4:]}\n"
    with Attached(ims, name) as console:
        console.find_shell()
        console.send(typed)
        return console.until(end).rpartition(begin)[2].partition(end)[0].strip()


class Attached:
    """The guest's console, read until something appears; every wait is bounded."""

    def __init__(self, ims: Ims, name: str) -> None:
        self._console = ims.open_console(name)
        self._seen = b""  # a character may come in two pieces

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._console.close()

    def send(self, text: str) -> None:
        self._console.write(text.encode())

    def find_shell(self) -> None:
        """Ask until a shell answers: what is typed before it begins is lost."""
        self.until("IMS-HERE", asking="\necho IMS-''HERE\n")

    def until(self, marker: str, *, asking: str = "") -> str:
        deadline, part = time.monotonic() + 180, b""
        while time.monotonic() < deadline:
            if marker.encode() in self._seen:
                return self._seen.decode(errors="replace").replace("\r", "")
            if asking and not part:  # and again only when all is quiet
                self.send(asking)
            part = self._console.read(1.0)
            self._seen += part
        raise AssertionError(f"{marker!r} did not appear: {self._seen[-2000:]!r}")
