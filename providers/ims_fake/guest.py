"""What stands for a pretended guest: it reads its medium at start, and answers at once.

It understands the layout ``bootparams``, as IMS' own guest program does, and answers as guests of
cloud-init do for theirs; like those it computes the digest from the bytes it read.
"""

from __future__ import annotations

import io
import json
import shlex
from typing import TYPE_CHECKING

from ims_bootparams.digest import NONCE_FILE, digest_of
from ims_bootparams.layouts.bootparams import CONF_FILE, parse
from ims_bootparams.layouts.cloud_init.data import CHECKS_FILE
from ims_core.errors import ImsError
from ims_core.models import Address, ItemResult, Receipt
from ims_fake.guests import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_core.models import Carrier

__all__ = ["UnreadableSeedError", "boot", "files_of"]

STALE_NONCE = "0" * 16


class UnreadableSeedError(Exception):
    """A seed is no medium, or no keys and values, that one of IMS' own could be read from."""


def boot(
    name: str, seed: bytes, carrier: Carrier, behaviour: str, leases: Mapping[str, str]
) -> Answer:
    """Run the guest.

    Args:
        name: The VM's name.
        seed: Its ISO 9660 medium, or its keys and values as JSON.
        carrier: Which of the two.
        behaviour: The setting ``receipts``.
        leases: What DHCP told each of its cards, by MAC.
    """
    console = [f"{name}: booting a fake guest"]
    try:
        files = files_of(seed, carrier)
    except UnreadableSeedError as error:
        return Answer(None, (*console, f"{name}: cannot read its context: {error}"))
    known = next((file for file in (CONF_FILE, CHECKS_FILE) if file in files), "")
    if not known:
        return Answer(None, (*console, f"{name}: no {CONF_FILE} on the medium, nothing to apply"))
    if behaviour == "bad-digest":
        files[known] = bytes([files[known][0] ^ 1]) + files[known][1:]
    values: Mapping[str, str] = {}
    try:
        if known == CONF_FILE:
            values = parse(files[CONF_FILE])
            names = list(_items(values))
        else:
            names = [shlex.split(line)[2] for line in files[CHECKS_FILE].decode().splitlines()]
    except (ImsError, ValueError, IndexError) as error:
        items = [ItemResult(known, ok=False, message=str(error))]
    else:
        items = [ItemResult(item, ok=True) for item in names]
    if behaviour == "failed-item":
        items[-1] = ItemResult(items[-1].name, ok=False, message="the pool's settings say so")
    console += [f"{name}: {item.name}: {item.message or 'ok'}" for item in items]
    if behaviour == "none":
        return Answer(None, tuple(console))
    nonce = files.get(NONCE_FILE, b"").decode("ascii", "replace").strip()
    receipt = Receipt(
        digest_of(files),
        STALE_NONCE if behaviour == "stale" else nonce,
        tuple(items),
        tuple(_addresses(values, leases)),
    )
    return Answer(receipt, (*console, f"{name}: ready, context {receipt.digest}"))


def files_of(seed: bytes, carrier: Carrier) -> dict[str, bytes]:
    """The files of a delivery, the nonce among them, by path.

    Raises:
        UnreadableSeedError: It has none.
    """
    try:
        return _read_medium(seed) if carrier.is_medium else _read_values(seed)
    except _unreadable() as error:
        raise UnreadableSeedError(str(error)) from error


def _read_medium(medium: bytes) -> dict[str, bytes]:
    """The files of an ISO 9660 medium with Joliet names, by path."""
    import pycdlib  # noqa: PLC0415 - 40 ms that only a start needs

    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(medium))
    try:
        files = {}
        for folder, _, names in iso.walk(joliet_path="/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                content = io.BytesIO()
                iso.get_file_from_iso_fp(content, joliet_path=path)
                files[path[1:]] = content.getvalue()
        return files
    finally:
        iso.close()


def _read_values(seed: bytes) -> dict[str, bytes]:
    """The files of a key-value delivery, the nonce among them."""
    from ims_bootparams.values import from_values  # noqa: PLC0415 - see _read_medium

    files, nonce = from_values(json.loads(seed))
    return {**files, NONCE_FILE: nonce.encode()}


def _unreadable() -> tuple[type[Exception], ...]:
    from pycdlib.pycdlibexception import PyCdlibException  # noqa: PLC0415 - see _read_medium

    return (PyCdlibException, ImsError, ValueError)


def _items(values: Mapping[str, str]) -> Iterator[str]:
    yield "hostname"
    for index in range(int(values["IMS_INTERFACES"])):
        yield f"interface {values[f'IMS_INTERFACE_{index}_MAC']}"
    for index in range(int(values["IMS_USERS"])):
        yield f"user {values[f'IMS_USER_{index}_NAME']}"
    for index in range(int(values["IMS_FILES"])):
        yield f"file {values[f'IMS_FILE_{index}_PATH']}"
    for index in range(int(values["IMS_SCRIPTS"])):
        yield f"script {values[f'IMS_SCRIPT_{index}_NAME']}"


def _addresses(values: Mapping[str, str], leases: Mapping[str, str]) -> Iterator[Address]:
    for index in range(int(values.get("IMS_INTERFACES", "0"))):
        mac = values[f"IMS_INTERFACE_{index}_MAC"]
        static = values[f"IMS_INTERFACE_{index}_ADDRESSES"].split()
        for address in static or ([leases[mac]] if mac in leases else []):
            yield Address(address, mac, "receipt")
