"""Lines on stderr, for a person."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["say"]


def say(text: str, *, end: str = "\n") -> None:
    """Write to stderr; that nobody reads it any more changes nothing."""
    with suppress(OSError, AttributeError):  # AttributeError: started without a stderr
        sys.stderr.write(text + end)
        sys.stderr.flush()
