"""ISO 9660 images, made in memory by pycdlib: no mkisofs, no mount, no root.

The same files and label give the same bytes, so an image can be compared and cached. pycdlib
stamps images with the current time and takes no other; how it is told otherwise is in
:func:`_pinned_clock`.
"""

from __future__ import annotations

import io
import os
import re
import threading
import time as _real
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ims_bootparams.digest import check_media_name
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["build_iso", "check_media_name"]

_DEFAULT_EPOCH = 315532800  # 1980-01-01, the first day that FAT knows too
_LAST_EPOCH = 5869583999  # the end of 2155, the last year of a directory record
_FILE_MODE = 0o100400  # whoever mounts the medium without a thought shows its secrets to root only
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,16}")  # 16 is what Joliet holds

_pinned: ContextVar[float | None] = ContextVar("ims_bootparams_pinned_time", default=None)
_install_lock = threading.Lock()


def build_iso(files: Mapping[str, bytes], label: str, *, limit: int | None = None) -> bytes:
    """An ISO 9660 image with Rock Ridge 1.09 and Joliet 3.

    The environment's ``SOURCE_DATE_EPOCH``, if there is one, dates the image; else it is 1980.

    Args:
        files: Content by name; a name may have directories.
        label: The volume's label, kept as it is, also in lower case.
        limit: The most bytes that the image may have.

    Returns:
        The whole image.

    Raises:
        InvalidError: A name or the label cannot be carried, a name is both a file and a
            directory, or the image would be larger than ``limit``.
    """
    if not _LABEL.fullmatch(label):
        raise InvalidError(f"volume label {label!r}: use up to 16 letters, digits, _ and -")
    for name in files:
        check_media_name(name)
    _check_size(files, sum(map(len, files.values())), limit)

    import pycdlib  # noqa: PLC0415  (tens of milliseconds, which only a delivery needs)

    with _pinned_clock(_epoch()):
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, vol_ident=label, joliet=3, rock_ridge="1.09")
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
    _check_size(files, image.tell(), limit)
    return image.getvalue()


def _add_directories(iso: Any, files: Mapping[str, bytes]) -> dict[str, str]:
    """Make every directory, parents first, and return its ISO 9660 path by its name."""
    names = {name[:end] for name in files for end, character in enumerate(name) if character == "/"}
    places = {"": ""}
    for index, name in enumerate(sorted(names)):
        if name in files:
            raise InvalidError(f"medium file {name!r}: it is also a directory")
        parent, _, base = name.rpartition("/")
        places[name] = f"{places[parent]}/D{index:07}"
        iso.add_directory(places[name], rr_name=base, joliet_path=f"/{name}")
    return places


def _check_size(files: Mapping[str, bytes], size: int, limit: int | None) -> None:
    if limit is None or size <= limit:
        return
    largest = max(files, key=lambda name: len(files[name]), default="")
    content = len(files[largest]) if largest else 0
    raise InvalidError(
        f"the context is too large: {size} bytes, and this carrier holds {limit}",
        code="context-too-large",
        hint=f"The largest part is {largest} with {content} bytes; let the guest fetch it.",
    )


def _epoch() -> float:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return _DEFAULT_EPOCH
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > _LAST_EPOCH:
        raise InvalidError(f"SOURCE_DATE_EPOCH: {text!r} is not a number of seconds since 1970")
    return float(text)


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
