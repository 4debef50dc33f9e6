"""The judge of vm.cfg: libxlutil, the library with which xl itself reads its files.

``xlu_cfg_readdata`` (libxlutil.h) is what ``xl create`` calls, and ``xlu_disk_parse`` reads one
disk for it. Nothing of Xen needs to run for either.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.labs import LabUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: ``libxl_disk_format`` of _libxl_types.h, by number.
FORMATS = ("", "qcow", "qcow2", "vhd", "raw", "empty", "qed")


class RefusedError(Exception):
    """What libxlutil had to say about a text that it does not read."""


class _Disk(ctypes.Structure):
    """The beginning of ``libxl_device_disk`` (_libxl_types.h), and room for the rest of it."""

    _fields_ = (
        ("backend_domid", ctypes.c_uint32),
        ("backend_domname", ctypes.c_char_p),
        ("pdev_path", ctypes.c_char_p),
        ("vdev", ctypes.c_char_p),
        ("backend", ctypes.c_int),
        ("format", ctypes.c_int),
        ("script", ctypes.c_char_p),
        ("removable", ctypes.c_int),
        ("readwrite", ctypes.c_int),
        ("is_cdrom", ctypes.c_int),
        ("rest", ctypes.c_byte * 1024),
    )


@dataclass(frozen=True, slots=True)
class Disk:
    """What xl makes of a disk."""

    target: str
    format: str
    vdev: str
    writable: bool
    cdrom: bool


class Libxlu:
    """libxlutil, and the FILE of its messages."""

    def __init__(self) -> None:
        names = [find_library(name) for name in ("xlutil", "xenlight")]
        if None in names:
            raise LabUnavailableError(
                "libxlutil is missing; run: python3 -m tests.labs.packages judges"
            )
        self._xlu, self._xl = (ctypes.CDLL(name) for name in names)
        self._c = ctypes.CDLL(None)
        self._xlu.xlu_cfg_init.restype = ctypes.c_void_p
        self._xlu.xlu_cfg_get_listitem.restype = ctypes.c_char_p
        self._c.open_memstream.restype = ctypes.c_void_p

    def read(self, text: str, keys: Iterable[str]) -> dict[str, str | tuple[str, ...]]:
        """The values of these keys; a number is the text of it, as xl keeps them."""
        data = text.encode()
        with self._config() as config:
            self._check(self._xlu.xlu_cfg_readdata(config, data, len(data)))
            return {key: self._value(config, key.encode()) for key in keys}

    def disk(self, text: str) -> Disk:
        """What xl understands by this entry of ``disk``."""
        disk, specs = _Disk(), (ctypes.c_char_p * 1)(text.encode())
        self._xl.libxl_device_disk_init(ctypes.byref(disk))
        with self._config() as config:
            self._check(self._xlu.xlu_disk_parse(config, 1, specs, ctypes.byref(disk)))
        return Disk(
            target=(disk.pdev_path or b"").decode(),
            format=FORMATS[disk.format],
            vdev=disk.vdev.decode(),
            writable=bool(disk.readwrite),
            cdrom=bool(disk.is_cdrom),
        )

    @contextmanager
    def _config(self) -> Iterator[ctypes.c_void_p]:
        self._words, self._length = ctypes.c_char_p(), ctypes.c_size_t()
        self._stream = ctypes.c_void_p(
            self._c.open_memstream(ctypes.byref(self._words), ctypes.byref(self._length))
        )
        config = ctypes.c_void_p(self._xlu.xlu_cfg_init(self._stream, b"vm.cfg"))
        try:
            yield config
        finally:
            self._xlu.xlu_cfg_destroy(config)
            self._c.fclose(self._stream)
            self._c.free(self._words)

    def _check(self, status: int) -> None:
        if status:
            self._c.fflush(self._stream)
            raise RefusedError((self._words.value or b"").decode(errors="replace"))

    def _value(self, config: ctypes.c_void_p, key: bytes) -> str | tuple[str, ...]:
        text = ctypes.c_char_p()
        if self._xlu.xlu_cfg_get_string(config, key, ctypes.byref(text), 1) == 0:
            return (text.value or b"").decode()
        items, count = ctypes.c_void_p(), ctypes.c_int()
        self._check(
            self._xlu.xlu_cfg_get_list(config, key, ctypes.byref(items), ctypes.byref(count), 1)
        )
        return tuple(
            self._xlu.xlu_cfg_get_listitem(items, index).decode() for index in range(count.value)
        )
