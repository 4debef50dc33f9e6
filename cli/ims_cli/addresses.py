"""The addresses of one VM, with the sources that agree brought together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ims_core.models import Address

__all__ = ["by_source"]


def by_source(addresses: Iterable[Address]) -> list[tuple[str, str]]:
    """Each address once, with a prefix length if any source knows it, and all its sources."""
    texts: dict[str, str] = {}
    sources: dict[str, list[str]] = {}
    for each in addresses:
        host = each.address.partition("/")[0]
        texts[host] = max(texts.get(host, ""), each.address, key=len)
        known = sources.setdefault(host, [])
        if each.source not in known:
            known.append(each.source)
    return [(texts[host], ", ".join(sources[host])) for host in texts]
