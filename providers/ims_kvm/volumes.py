"""The files of templates and VMs, as volumes of one libvirt storage pool.

Everything goes through libvirt's storage calls and streams, so the pool may be on another
machine. The name of every volume of a VM contains the id of the operation that made it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING
from uuid import uuid4
from xml.etree import ElementTree as ET

import libvirt
from defusedxml.ElementTree import fromstring

from ims_core.errors import ConfigError, ConflictError, NotFoundError
from ims_kvm.connection import libvirt_errors

if TYPE_CHECKING:
    from typing import BinaryIO

    from ims_core.spi import Progress, UndoLog
    from ims_kvm.connection import Link

__all__ = ["Paths", "StoragePool", "VolumeNames"]

CHUNK = 1 << 20
PRIVATE = "0600"
SHARED = "0644"
"""The mode of a template's image: every VM's QEMU reads it, and it holds no secret of ours."""


@dataclass(frozen=True, slots=True)
class VolumeNames:
    """The volumes of one VM, in the order in which they are made."""

    name: str
    operation: str

    @property
    def root(self) -> str:
        """The root disk, a qcow2 overlay on the template."""
        return f"{self._base}.qcow2"

    @property
    def seeds(self) -> tuple[str, str]:
        """The medium with the context, which takes turns between two when it is renewed live."""
        return f"{self._base}.seed-a", f"{self._base}.seed-b"

    @property
    def overlays(self) -> tuple[str, str]:
        """The second medium, where the layout has one; two for the same reason."""
        return f"{self._base}.overlay-a", f"{self._base}.overlay-b"

    @property
    def console(self) -> str:
        """What the guest printed on its serial port."""
        return f"{self._base}.log"

    @property
    def receipt(self) -> str:
        """What the guest answered."""
        return f"{self._base}.receipt"

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return (self.root, *self.seeds, *self.overlays, self.console, self.receipt)

    @property
    def _base(self) -> str:
        return f"{self.name}-{self.operation}"


@dataclass(frozen=True, slots=True)
class Paths:
    """The storage pool of a VM, and where its files lie on the hypervisor's host."""

    pool: str
    template: str
    root: str
    seed: str
    overlay: str
    console: str
    receipt: str


class StoragePool:
    """The storage pool of a kvm pool; every method is one or two requests."""

    def __init__(self, link: Link, name: str, path: str) -> None:
        """Nothing is asked yet.

        Args:
            link: To the libvirt that has the storage pool.
            name: Its name.
            path: Where it is made by :meth:`ensure` if it does not exist.
        """
        self.name = name
        self._link = link
        self._path = path
        self._target = ""

    def ensure(self, undo: UndoLog) -> None:
        """Make or start the storage pool if it is not there or not active."""
        try:
            pool = self._link.live.storagePoolLookupByName(self.name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
            pool = self._make(undo)
        if not pool.isActive():
            pool.create()

    def path_of(self, volume: str) -> str:
        """Where a volume of that name lies, whether it exists or not."""
        if not self._target:
            self._target = fromstring(self._pool().XMLDesc()).findtext("target/path") or ""
        return f"{self._target}/{volume}"

    def free(self) -> int:
        """Bytes available, as the host's file system says."""
        return int(self._pool().info()[3])

    def names(self, *, refresh: bool = False) -> frozenset[str]:
        """The names of all volumes; with ``refresh``, files that came or went are seen."""
        pool = self._pool()
        if refresh:
            self._refresh(pool)
        return frozenset(pool.listVolumes())

    def create_overlay(self, name: str, size: int, backing: str, backing_format: str) -> None:
        """A qcow2 volume that holds what differs from a backing file.

        Raises:
            ConflictError: There is one of that name; it is left as it is.
        """
        volume = _volume_xml(name, size, "qcow2")
        store = ET.SubElement(volume, "backingStore")
        ET.SubElement(store, "path").text = backing
        ET.SubElement(store, "format", type=backing_format)
        self._create(volume)

    def create_raw(self, name: str, size: int, *, mode: str = PRIVATE) -> None:
        """A raw volume; raises as :meth:`create_overlay`."""
        self._create(_volume_xml(name, size, "raw", mode))

    def write(self, name: str, content: bytes) -> None:
        """Replace the content of a raw volume, which is made anew if it was lost."""
        try:
            volume = self._lookup(name)
        except NotFoundError:
            self.create_raw(name, len(content))
            volume = self._lookup(name)
        if volume.info()[1] != len(content):
            volume.resize(len(content), libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK)
        _send(volume, BytesIO(content), len(content), lambda _done, _total: None)

    def fill(self, name: str, content: bytes) -> None:
        """Write a raw volume that was made with this size; unlike :meth:`write`, makes none."""
        _send(self._lookup(name), BytesIO(content), len(content), lambda _done, _total: None)

    def upload(self, name: str, source: BinaryIO, size: int, progress: Progress) -> str:
        """Fill a raw volume from a file; returns the digest of the bytes that were sent."""
        return _send(self._lookup(name), source, size, progress)

    def read(self, name: str, *, last: int) -> bytes:
        """The last bytes of a volume; empty when it does not exist.

        A file that libvirt did not make itself is seen after a refresh.
        """
        try:
            volume = self._lookup(name)
        except NotFoundError:
            if name not in self.names(refresh=True):
                return b""
            volume = self._lookup(name)
        size = int(volume.info()[1])
        offset = max(0, size - last)
        stream = volume.connect().newStream()
        volume.download(stream, offset, 0)
        parts = []
        try:
            while part := stream.recv(65536):
                parts.append(part)
                if sum(map(len, parts)) > last:
                    break
            stream.abort()
        except BaseException:
            _abort(stream)
            raise
        return b"".join(parts)[-last:]

    def facts(self, name: str) -> tuple[int, float]:
        """Bytes of a volume's file, and when it was written last, in seconds since the epoch.

        Raises:
            NotFoundError: There is none of that name.
        """
        volume = fromstring(self._lookup(name).XMLDesc())
        written = volume.findtext("target/timestamps/mtime") or "0"
        return int(volume.findtext("physical") or 0), float(written)

    def delete(self, name: str) -> bool:
        """Delete a volume; false when it was not there."""
        try:
            self._lookup(name).delete()
        except NotFoundError:
            return False
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
            return False
        return True

    def _create(self, volume: ET.Element) -> None:
        name = volume.findtext("name")
        with libvirt_errors(f"volume {name}"):
            try:
                self._pool().createXML(ET.tostring(volume, encoding="unicode"))
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_STORAGE_VOL_EXIST:
                    raise
                raise ConflictError(
                    f"there is a volume {name} in storage pool {self.name} already",
                    code="volume-exists",
                    hint="somebody else made it; it was left as it is",
                ) from error

    def _lookup(self, name: str) -> libvirt.virStorageVol:
        try:
            return self._pool().storageVolLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise
            raise NotFoundError(
                f"there is no volume {name} in storage pool {self.name}", code="volume-not-found"
            ) from error

    def _pool(self) -> libvirt.virStoragePool:
        try:
            return self._link.live.storagePoolLookupByName(self.name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
            raise NotFoundError(
                f"there is no libvirt storage pool {self.name!r}",
                code="storage-pool-not-found",
                hint="`ims import-template` makes it, or set storage_pool in ims.toml",
            ) from error

    def _make(self, undo: UndoLog) -> libvirt.virStoragePool:
        if not self._path:
            raise ConfigError(
                f"there is no libvirt storage pool {self.name!r}, and no place to make it",
                hint="set storage_path in ims.toml: a directory on the hypervisor's host",
            )
        pool = ET.Element("pool", type="dir")
        ET.SubElement(pool, "name").text = self.name
        uuid = str(uuid4())
        ET.SubElement(pool, "uuid").text = uuid
        ET.SubElement(ET.SubElement(pool, "target"), "path").text = self._path
        resource = f"{self.name}/{uuid}/{undo.operation}"
        undo.announce("storage-pool", resource)
        try:
            made = self._link.live.storagePoolDefineXML(ET.tostring(pool, encoding="unicode"))
        except libvirt.libvirtError:
            undo.retract("storage-pool", resource)
            with suppress(NotFoundError):
                return self._pool()  # somebody else made it at this moment
            raise
        made.build()
        made.setAutostart(1)
        return made

    @staticmethod
    def _refresh(pool: libvirt.virStoragePool) -> None:
        try:
            pool.refresh()
        except libvirt.libvirtError as error:
            # Somebody is uploading: libvirt refuses, and what it knew before must do.
            if error.get_error_code() != libvirt.VIR_ERR_INTERNAL_ERROR:
                raise


def _volume_xml(name: str, size: int, volume_format: str, mode: str = PRIVATE) -> ET.Element:
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = name
    ET.SubElement(volume, "capacity", unit="bytes").text = str(size)
    ET.SubElement(volume, "allocation", unit="bytes").text = "0"
    target = ET.SubElement(volume, "target")
    ET.SubElement(target, "format", type=volume_format)
    ET.SubElement(ET.SubElement(target, "permissions"), "mode").text = mode
    return volume


def _send(volume: libvirt.virStorageVol, source: BinaryIO, size: int, progress: Progress) -> str:
    """Send exactly ``size`` bytes into a volume; a longer source is cut, a shorter one fails."""
    digest, left = hashlib.sha256(), size
    stream = volume.connect().newStream()
    volume.upload(stream, 0, size)
    try:
        while chunk := source.read(min(CHUNK, left)):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[stream.send(bytes(view)) :]
            left -= len(chunk)
            progress(size - left, size)
        stream.finish()
    except BaseException:
        _abort(stream)
        raise
    return f"sha256:{digest.hexdigest()}"


def _abort(stream: libvirt.virStream) -> None:
    with suppress(libvirt.libvirtError):  # the connection is gone; the error that matters is raised
        stream.abort()
