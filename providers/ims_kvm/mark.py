"""Our mark in a domain's ``<metadata>``.

libvirt keeps one element for each XML namespace there; ours is ``{NAMESPACE}mark``. It is an
identifier, not an address: nothing is fetched from it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import libvirt
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ims_core.models import Mark

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["NAMESPACE", "PREFIX", "mark_element", "mark_from", "read_mark", "write_mark"]

NAMESPACE = "urn:ims:mark:1"
PREFIX = "ims"


def mark_element(mark: Mark, *, qualified: bool) -> Element:
    """The mark as an element; libvirt wants it unqualified when it is set by itself."""
    values = {key: str(value) for key, value in asdict(mark).items() if key != "complete"}
    values["status"] = "complete" if mark.complete else "incomplete"
    return ET.Element(f"{{{NAMESPACE}}}mark" if qualified else "mark", values)


def mark_from(text: str) -> Mark | None:
    """The mark out of its XML; None for anything that is not a mark of ours."""
    try:
        values = dict(fromstring(text).attrib)
        complete = values.pop("status") == "complete"
        return Mark(complete=complete, **values)
    except (ET.ParseError, DefusedXmlException, KeyError, TypeError):
        return None


def read_mark(domain: libvirt.virDomain) -> Mark | None:
    """The mark of a domain; None when it has none."""
    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return mark_from(text)


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
