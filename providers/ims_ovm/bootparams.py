"""How ``bootparams.conf`` gets onto a VM's Bootparams.img before each power-on.

``replace``
    The whole small image is built here out of the one that is there, and put in its place by one
    rename. Nothing is mounted in dom0.
``mount``
    dom0's kernel mounts the image, as the seed of this project had it; always undone.
``manager``
    The Manager is asked, by ``createPropertiesFileOnVirtualMachine``. Nobody knows what that
    writes where: unverified.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from ims_bootparams.digest import LIST_FILE, NONCE_FILE, names_in
from ims_bootparams.layouts.bootparams import CONF_FILE, parse
from ims_bootparams.media.existing import put_files, read_file
from ims_core.errors import HypervisorError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Delivery

__all__ = ["IMAGE", "MAX_IMAGE", "properties", "rebuilt", "unzipped"]

IMAGE = "Bootparams.img"
MAX_IMAGE = 64 << 20
"""Bytes of an image that is rebuilt here."""


def rebuilt(image: bytes, files: Mapping[str, bytes]) -> bytes:
    """The image with these files, and without those of the delivery before.

    Raises:
        UnsupportedError: ``image-not-replaceable``; the hint names ``mount``.
        InvalidError: ``context-too-large``.
    """
    before = names_in(read_file(image, LIST_FILE) or b"")
    return put_files(image, files, remove=[name for name in before if name not in files])


def unzipped(content: bytes) -> bytes:
    """The image as a script sent it.

    Raises:
        HypervisorError: It is damaged, or larger than :data:`MAX_IMAGE`.
    """
    reader = zlib.decompressobj(wbits=31)
    try:
        image = reader.decompress(content, MAX_IMAGE + 1)
    except zlib.error as error:
        raise HypervisorError(f"the dom0 sent a damaged {IMAGE}: {error}") from None
    if len(image) > MAX_IMAGE or not reader.eof:
        raise HypervisorError(f"the dom0 did not send a whole {IMAGE}")
    return image


def properties(delivery: Delivery) -> dict[str, str]:
    """The values that a file of properties can carry.

    Raises:
        UnsupportedError: The context has files as well, or the layout is another.
    """
    further = set(delivery.files) - {CONF_FILE, NONCE_FILE, LIST_FILE}
    if further or CONF_FILE not in delivery.files:
        raise UnsupportedError(
            "the Manager's file of properties carries values only, not files and scripts",
            code="carrier-impossible",
            hint="use layout bootparams without files, or let the pool's `bootparams` be replace",
        )
    nonce = delivery.files[NONCE_FILE].decode().strip()
    return {**parse(delivery.files[CONF_FILE]), "IMS_NONCE": nonce}
