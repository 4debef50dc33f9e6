r"""One command line for a script and its arguments that every login shell reads alike.

An SSH server hands the command to the user's login shell. Between single quotes sh, csh and fish
agree about all of printable ASCII but the quote, the backslash, and ``!`` (csh's history); csh
ends a quoted string at a newline, too. So those, and every byte that is not printable ASCII,
travel as ``\0nnn``, and a small sh script with none of them in it turns them back by
``printf %b``. It runs the real script as a child and not in its own place, because SSH's report of
a death by signal is lost on the way: as the parent it ends with 128 and the signal, as shells do.
"""

from __future__ import annotations

import os

__all__ = ["command_line"]

# The x keeps newlines at the end, which $(…) would cut off. A backslash followed by a 0 and three
# digits needs no other rule: it never comes out of _safe in any other form.
_UNPACK = (
    's=$(printf %bx "$1"); shift; n=$#; while [ $n -gt 0 ]; do a=$(printf %bx "$1"); shift; '
    'set -- "$@" "${a%x}"; n=$((n-1)); done; sh -c "${s%x}" ims "$@"; exit $?'
)
_UNSAFE = frozenset(b"'\\!")


def command_line(script: str, *arguments: str) -> str:
    """A command that runs ``sh -c SCRIPT ims ARGUMENT…``.

    Raises:
        ValueError: There is a NUL in it, which no argument of a process can hold.
    """
    packed = " ".join(_safe(word) for word in (script, *arguments))
    return f"sh -c '{_UNPACK}' ims {packed}"


def _safe(word: str) -> str:
    data = os.fsencode(word)
    if 0 in data:
        raise ValueError("an argument of a script contains a NUL")
    plain = (
        chr(byte) if 0x20 <= byte < 0x7F and byte not in _UNSAFE else f"\\0{byte:03o}"  # noqa: PLR2004 - printable ASCII
        for byte in data
    )
    return f"'{''.join(plain)}'"
