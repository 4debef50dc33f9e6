"""``manifest.xml``: OPTIMIS' service manifest, which the caller may give.

Source: OPTIMIS Toolkit, ``ServiceManifest``, its schema of ``opt:ServiceManifest``.
"""

from __future__ import annotations

from xml.etree.ElementTree import ParseError

from ims_bootparams.redaction import is_redacted
from ims_bootparams.validation.common import invalid

__all__ = ["MANIFEST", "check_manifest"]

MANIFEST = "manifest.xml"
_ROOT = "{http://schemas.optimis.eu/optimis/}ServiceManifest"


def check_manifest(field: str, content: bytes) -> None:
    """Refuse what an OPTIMIS guest could not read as a service manifest.

    Args:
        field: The content's, for the error.
        content: Of the file.

    Raises:
        InvalidError: It is not well-formed XML without a document type, or another document.
    """
    from defusedxml import ElementTree  # noqa: PLC0415  (few contexts have a manifest)

    if is_redacted(content):
        return
    try:
        root = ElementTree.fromstring(content, forbid_dtd=True)
    except (ParseError, ValueError, LookupError):  # ValueError: a DTD; LookupError: an encoding
        hint = "Give a well-formed XML document without a DTD."
        raise invalid(field, "it is not XML that a guest may read", hint) from None
    if root.tag != _ROOT:
        hint = f"Give a document whose root is {_ROOT}."
        raise invalid(field, "it is not a service manifest of OPTIMIS", hint)
