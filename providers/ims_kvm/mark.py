"""Our mark in a domain's ``<metadata>``, and where its files are.

libvirt keeps one element for each XML namespace there. Ours are ``mark``, which changes, and
``storage``, which does not: the name of the storage pool, so that a VM can be managed through any
connection to its libvirt. The namespaces are identifiers: nothing is fetched from them.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import libvirt
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ims_core.models import Mark

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = [
    "PREFIXES",
    "mark_element",
    "mark_from",
    "read_mark",
    "read_storage",
    "storage_element",
    "write_mark",
]

_OPERATION = re.compile(r"([0-9a-f]{16})?")
NAMESPACE, PREFIX = "urn:ims:mark:1", "ims"
STORAGE = "urn:ims:kvm:storage:1"
PREFIXES = {PREFIX: NAMESPACE, "ims-storage": STORAGE}


def mark_element(mark: Mark, *, qualified: bool) -> Element:
    """The mark as an element; libvirt wants it unqualified when it is set by itself."""
    values = {key: str(value) for key, value in asdict(mark).items() if key != "complete"}
    values["status"] = "complete" if mark.complete else "incomplete"
    return ET.Element(f"{{{NAMESPACE}}}mark" if qualified else "mark", values)


def storage_element(pool: str) -> Element:
    """The name of the storage pool as an element."""
    return ET.Element(f"{{{STORAGE}}}storage", {"pool": pool})


def mark_from(text: str) -> Mark | None:
    """The mark out of its XML; None for anything that is not a mark of ours."""
    try:
        values = dict(fromstring(text).attrib)
        mark = Mark.from_dict({**values, "complete": values.pop("status") == "complete"})
    except (ET.ParseError, DefusedXmlException, KeyError, ValueError):
        return None
    # It is part of the names of files that are removed.
    return mark if _OPERATION.fullmatch(mark.operation) else None


def read_mark(domain: libvirt.virDomain) -> Mark | None:
    """The mark of a domain; None when it has none, or that of the domain it was copied from."""
    mark = mark_from(_metadata(domain, NAMESPACE))
    return mark if mark is not None and mark.vm == domain.UUIDString() else None


def read_storage(domain: libvirt.virDomain) -> str:
    """The name of the storage pool that a domain of ours was made in; empty when it has none."""
    try:
        return str(fromstring(_metadata(domain, STORAGE)).get("pool", ""))
    except (ET.ParseError, DefusedXmlException):
        return ""


def write_mark(domain: libvirt.virDomain, mark: Mark) -> None:
    """Replace the mark, in the running domain as well as in its definition."""
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        ET.tostring(mark_element(mark, qualified=False), encoding="unicode"),
        PREFIX,
        NAMESPACE,
        flags,
    )


def _metadata(domain: libvirt.virDomain, namespace: str) -> str:
    """The element of a namespace; empty when there is none.

    That of the definition: a domain that was suspended goes on with the metadata it had then.
    """
    element, definition = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    try:
        return str(domain.metadata(element, namespace, definition))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return ""  # it has none, so nothing of it would stay when it is off: it is not ours
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            raise
        return ""
