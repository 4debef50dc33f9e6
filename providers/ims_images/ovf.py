"""The descriptor of an OVA: which file of it is the one disk (DMTF DSP0243, versions 1 and 2).

Only ``References`` (section 7.1) and ``DiskSection`` (section 9.1) are read. What it says of the
machine, IMS takes from whoever creates a VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["OvfError", "disk_file"]

_NAMESPACES = ("http://schemas.dmtf.org/ovf/envelope/1", "http://schemas.dmtf.org/ovf/envelope/2")


class OvfError(Exception):
    """The descriptor cannot be used; its text says why, as the end of a sentence."""


def disk_file(descriptor: bytes) -> str:
    """The name of the file with the only disk that has one.

    Raises:
        OvfError: There is not exactly one, or it cannot be read as it is.
    """
    try:
        envelope = fromstring(descriptor, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise OvfError("its descriptor is not XML, or has a DTD") from error
    namespace = next((n for n in _NAMESPACES if envelope.tag == f"{{{n}}}Envelope"), "")
    if not namespace:
        raise OvfError("its descriptor is not of OVF version 1 or 2")

    def said(element: Element, name: str) -> str:
        return str(element.get(f"{{{namespace}}}{name}", ""))

    wanted = {"n": namespace}
    disks = [
        disk for disk in envelope.iterfind("n:DiskSection/n:Disk", wanted) if said(disk, "fileRef")
    ]
    if len(disks) != 1:
        raise OvfError(f"it has {len(disks)} disks, and a template has one")
    if said(disks[0], "parentRef"):
        raise OvfError("its disk needs a parent")
    reference = said(disks[0], "fileRef")
    files = [
        file
        for file in envelope.iterfind("n:References/n:File", wanted)
        if said(file, "id") == reference
    ]
    if len(files) != 1:
        raise OvfError("its descriptor does not say which file its disk is")
    if said(files[0], "compression") not in {"", "identity"} or said(files[0], "chunkSize"):
        raise OvfError("its disk is compressed once more, or cut in pieces")
    return unquote(said(files[0], "href"))
