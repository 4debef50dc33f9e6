"""A provider of somebody else's, with a console, and faults that depend on a VM's name.

The tests install it as a distribution of its own; nothing else in the repository names it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar

from ims_core.errors import HypervisorError
from ims_core.spi import NOTHING_KNOWN, Discarded
from ims_fake import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ims_core.models import VM, Mark, Resource


class EchoConsole:
    """Answers each line in capitals, and closes after ``bye``."""

    def __init__(self) -> None:
        self._answers = b"login: "
        self._closed = False

    def read(self, timeout: float) -> bytes:
        del timeout
        answers, self._answers = self._answers, b""
        if not answers and self._closed:
            raise EOFError
        return answers

    def write(self, data: bytes) -> None:
        self._answers += data.upper()
        self._closed = self._closed or b"bye" in data

    def close(self) -> None:
        self._closed = True


class OddProvider(FakeProvider):
    name: ClassVar[str] = "odd"

    def inspect(
        self,
        vms: Collection[str] | None = None,
        *,
        evidence: bool = False,
        known: Mapping[str, Mark] = NOTHING_KNOWN,
    ) -> Sequence[VM]:
        for name in vms or ():
            if name == "boom":
                raise RuntimeError("the plugin is\nbroken")
            if name == "evil":
                raise HypervisorError("bad \x1b]0;title\x07 name \u202egpj") from OSError("why")
        return super().inspect(vms, evidence=evidence, known=known)

    def open_console(self, vm: str) -> EchoConsole:
        del vm
        return EchoConsole()

    def discard(self, resource: Resource) -> Discarded:
        """Says that it begins, and waits until the test lets it."""
        if gate := os.environ.get("ODD_GATE"):
            sys.stderr.write("discarding\n")
            sys.stderr.flush()
            os.read(int(gate), 1)
        return super().discard(resource)
