"""Counting what is asked of libvirt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from tests.counting import counted

if TYPE_CHECKING:
    import pytest

__all__ = ["libvirt_calls"]

# Those that ask the daemon something; what a handle knows by itself is no request.
METHODS = (
    *("metadata", "XMLDesc", "getAllDomainStats", "domainListGetStats", "lookupByName"),
    *("lookupByUUIDString",),
    *("storageVolLookupByName", "listAllDomains", "listVolumes", "refresh"),
    *("storagePoolLookupByName", "info", "state", "isActive"),
)


def libvirt_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the method for each request, from now on."""
    classes = (libvirt.virDomain, libvirt.virConnect, libvirt.virStoragePool)
    return counted(monkeypatch, METHODS, *classes)
