"""What a script wrote, kept within bounds."""

from __future__ import annotations

from ims_core.errors import HypervisorError
from ims_shell.shell import Answer

__all__ = ["ERRORS_LIMIT", "OUTPUT_LIMIT", "Gathered", "plain"]

OUTPUT_LIMIT = 64 * 2**20
"""Bytes of standard output; a script that writes more is given up."""
ERRORS_LIMIT = 64 * 2**10
"""Bytes of standard error; of more than that, the end is kept."""

_PIECE = 64 * 2**10


class Gathered:
    """Collects both streams. One thread writes; the others look when it has ended."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._output = bytearray()
        self._errors = bytearray()
        self.too_much = False

    def take_output(self, data: bytes) -> None:
        """Keep more of standard output, or notice that there is too much of it."""
        if len(self._output) + len(data) > OUTPUT_LIMIT:
            self.too_much = True
        else:
            self._output += data

    def take_errors(self, data: bytes) -> None:
        """Keep more of standard error."""
        self._errors += data
        del self._errors[:-ERRORS_LIMIT]

    def answer(self, status: int) -> Answer:
        """All of it."""
        return Answer(status, bytes(self._output), plain(bytes(self._errors)))

    def refuse_too_much(self, endpoint: str) -> None:
        """Say that a script wrote too much.

        Raises:
            HypervisorError: ``output-too-large``.
        """
        if self.too_much:
            raise HypervisorError(
                f"{endpoint}: a script wrote more than {OUTPUT_LIMIT // 2**20} MiB",
                code="output-too-large",
                hint="that machine does not behave as it should; run its tools by hand and look",
            )


def plain(data: bytes) -> str:
    """Text for people and for logs: a terminal obeys nothing of it."""
    text = data.decode(errors="replace")
    return "".join(sign for sign in text if sign == "\n" or sign.isprintable())
