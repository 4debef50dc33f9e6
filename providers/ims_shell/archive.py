"""Several small files in one message, as a tar archive: what is sent, and what comes back.

No tar tells an archive that was cut short between two of its files from a whole one, so whoever
unpacks what :func:`pack` made looks for its last file, ``.whole``, which is empty.
"""

from __future__ import annotations

import io
import tarfile
import time
from typing import TYPE_CHECKING

from ims_core.errors import HypervisorError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WHOLE", "pack", "unpack"]

WHOLE = ".whole"

_PRIVATE = 0o600


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files by name, each for its owner only, in this order."""
    archive, now = io.BytesIO(), int(time.time())
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in {**files, WHOLE: b""}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), _PRIVATE, now
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def unpack(archive: bytes) -> dict[str, bytes]:
    """The plain files of an archive by their path, without a leading ``./``; others are left out.

    Raises:
        HypervisorError: It is none, or was cut short within a file.
    """
    files: dict[str, bytes] = {}
    if not archive:
        return files
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    files[member.name.removeprefix("./")] = content.read()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise HypervisorError(f"the machine sent a damaged archive: {error}") from None
    return files
