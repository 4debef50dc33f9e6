"""ISO 9660 images, made in memory by pycdlib: no mkisofs, no mount, no root.

The same files and label give the same bytes, so an image can be compared and cached. pycdlib
stamps images with the current time and takes no other; how it is told otherwise is in
:func:`_pinned_clock`.
"""

from __future__ import annotations

import io
import re
import threading
import time as _real
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ims_bootparams.media.tree import check_files, check_image, directories_of, epoch
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["build_iso"]

_FILE_MODE = 0o100400  # whoever mounts the medium without a thought shows its secrets to root only
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,16}")  # 16 is what Joliet holds

_pinned: ContextVar[float | None] = ContextVar("ims_bootparams_pinned_time", default=None)
_install_lock = threading.Lock()


def build_iso(
    files: Mapping[str, bytes], label: str, *, limit: int | None = None, serial: str = ""
) -> bytes:
    """An ISO 9660 image with Rock Ridge 1.09 and Joliet 3; see :func:`ims_bootparams.media.build`.

    The label is kept as it is, also in lower case. The serial is the primary volume descriptor's
    volume set identifier (ECMA-119, section 8.4.19).
    """
    if not _LABEL.fullmatch(label):
        raise InvalidError(f"volume label {label!r}: use up to 16 letters, digits, _ and -")
    check_files(files, limit)

    import pycdlib  # noqa: PLC0415  (tens of milliseconds, which only a delivery needs)

    with _pinned_clock(epoch()):
        iso = pycdlib.PyCdlib()
        iso.new(
            interchange_level=3,
            vol_ident=label,
            vol_set_ident=serial,
            joliet=3,
            rock_ridge="1.09",
        )
        places = _add_directories(iso, files)
        for index, name in enumerate(sorted(files)):
            parent, _, base = name.rpartition("/")
            content = files[name]
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                f"{places[parent]}/F{index:07}.;1",
                rr_name=base,
                joliet_path=f"/{name}",
                file_mode=_FILE_MODE,
            )
        image = io.BytesIO()
        iso.write_fp(image)
        iso.close()
    check_image(files, image.tell(), limit)
    return image.getvalue()


def _add_directories(iso: Any, files: Mapping[str, bytes]) -> dict[str, str]:
    """Make every directory, parents first, and return its ISO 9660 path by its name."""
    places = {"": ""}
    for index, name in enumerate(directories_of(files)):
        parent, _, base = name.rpartition("/")
        places[name] = f"{places[parent]}/D{index:07}"
        iso.add_directory(places[name], rr_name=base, joliet_path=f"/{name}")
    return places


class _Clock:
    """Stands in for the module ``time`` inside pycdlib.

    It is the real module in every way, except for code under :func:`_pinned_clock`: there the
    time stands still, and the local time zone is UTC. The pin is a context variable, so another
    thread or task that uses pycdlib at the same moment, for its own ends, has the real time.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(_real, name)

    @staticmethod
    def time() -> float:
        pinned = _pinned.get()
        return _real.time() if pinned is None else pinned

    @staticmethod
    def localtime(seconds: float | None = None) -> _real.struct_time:
        return _real.localtime(seconds) if _pinned.get() is None else _real.gmtime(seconds)


def _install_clock() -> None:
    """Give pycdlib's modules, and nothing else, our clock for their ``time``; once."""
    from pycdlib import dates, headervd, pycdlib, utils  # noqa: PLC0415

    modules: tuple[Any, ...] = (dates, headervd, pycdlib, utils)
    with _install_lock:
        for module in modules:
            if module.time is _real:
                module.time = _CLOCK


_CLOCK = _Clock()


@contextmanager
def _pinned_clock(seconds: float) -> Iterator[None]:
    _install_clock()
    token = _pinned.set(seconds)
    try:
        yield
    finally:
        _pinned.reset(token)
