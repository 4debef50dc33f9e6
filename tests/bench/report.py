"""The numbers as a table, for a terminal and for the documentation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.timing import Row

__all__ = ["markdown", "text"]

_HEAD = ("IMS", "ms", "peer", "ms", "ratio", "spread", "budget", "within")
_NUMBERS = frozenset({1, 3, 4, 5})
_VERDICTS = {True: "yes", False: "NO", None: ""}
_NOTES = """\
- Times are medians of whole processes, from start to exit. The ratio is the median of the ratios
  of each pair; the spread is the width of the middle half of them, and ~ marks one above 10 %,
  which deserves little trust. A budget is a ratio, or a time where it says ms.
- Both sides have the same libvirt, storage pool, network, image, memory, disk size, SSH key,
  Python and libvirt bindings, and their bytecode was compiled before. Otherwise each makes the VM
  that it makes by default: kcli's has a graphics card and a VNC server, IMS's a log of its
  console, a port for the receipt and a random number generator.
- `virsh define` and `virsh start`, two processes, are given the very XML that IMS makes, with
  every volume there and filled: what they take is the least that libvirt and QEMU need.
- `kcli version` asks the network for a newer version; here that is refused at once.
- A medium by IMS is made in a running process, after its import; the programs are a process for
  each, the shell that runs them included.
- The rows of large media compare the time for each MiB of a large image with that of a small one:
  more than 1 would be slower than linear.
- A hundred VMs are measured once in five rounds, without a round that does not count. Their disks
  are empty, so that no guest computes. IMS and kcli are one process each; IMS has eight VMs under
  way at a time.
- The store's share is the time a create spends in the store and its log, every commit synchronous,
  beside all of its own, in one process that makes one VM after the other.
"""


def text(header: Mapping[str, str], rows: Sequence[Row]) -> str:
    """For a terminal."""
    width = max(map(len, header))
    table = [_HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    lines = [f"{word:{width}}  {value}" for word, value in header.items()]
    lines.append("")
    for row in table:
        cells = [
            cell.rjust(wide) if index in _NUMBERS else cell.ljust(wide)
            for index, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(header: Mapping[str, str], rows: Sequence[Row]) -> str:
    """For the documentation; all that stands in it can be published."""
    rules = ["---:" if index in _NUMBERS else "---" for index in range(len(_HEAD))]
    table = [_HEAD, rules, *map(_cells, rows)]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`, on one machine on one day.",
            "",
            *(f"- {word}: {value}" for word, value in header.items()),
            "",
            *(f"| {' | '.join(cells)} |" for cells in table),
            "",
            _NOTES,
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    spread = "?" if math.isnan(row.spread) else f"{row.spread:.0%}"
    return (
        row.what,
        _milliseconds(row.our_median),
        row.peer,
        _milliseconds(row.their_median),
        f"{row.ratio:.2f}",
        f"{'~' if row.noisy else ''}{spread}",
        str(row.budget or ""),
        _VERDICTS[row.within],
    )


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
