"""File sets for media: arbitrary names within the alphabet, and contents of awkward sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = st.from_regex(r"[a-z0-9_-][a-z0-9._-]{0,63}", fullmatch=True).filter(
    lambda name: not name.endswith(".")
)
_PATH = st.lists(_NAME, min_size=1, max_size=7).map("/".join)
# Around the sizes of sectors, clusters, blocks, and the blocks that an inode names itself.
_SIZE = st.one_of(
    st.integers(0, 40),
    st.sampled_from([511, 512, 513, 1024, 1025, 2048, 2049, 4096, 12288, 12289, 70_000, 300_000]),
)
_CONTENT = st.builds(
    lambda size, seed: (seed * (size // 4 + 1))[:size], _SIZE, st.binary(min_size=4, max_size=9)
)


def _consistent(files: Mapping[str, bytes]) -> bool:
    """Whether no name is both a file and a directory."""
    return not any(other.startswith(f"{name}/") for name in files for other in files)


#: Content by name, as any layout might have it.
TREES = st.dictionaries(_PATH, _CONTENT, max_size=12).filter(_consistent)
