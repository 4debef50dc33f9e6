"""What stands for a guest: it reads its CD when it is started, and answers by its serial port.

It goes together with `hypervisor.py`: real guests run `ims-context` or cloud-init, which do this.
"""

import io
from collections.abc import Callable

from ims_bootparams.digest import NONCE_FILE, digest_of
from ims_bootparams.layouts.bootparams import CONF_FILE, parse

__all__ = ["boot"]


def boot(cd: bytes, ask_dhcp: Callable[[str], str]) -> bytes:
    """What a guest prints on its serial port while it starts.

    Args:
        cd: The image of its CD, or nothing.
        ask_dhcp: Gives the address of the card with this MAC.
    """
    files = _read(cd) if cd else {}
    if CONF_FILE not in files:
        return b"there is no context that this guest could read\n"
    values = parse(files[CONF_FILE])
    lines = [
        "IMS-RECEIPT 1",
        f"digest {digest_of(files)}",
        f"nonce {files[NONCE_FILE].decode().strip()}",
        "item hostname ok",
    ]
    for index in range(int(values["IMS_INTERFACES"])):
        mac = values[f"IMS_INTERFACE_{index}_MAC"]
        static = values[f"IMS_INTERFACE_{index}_ADDRESSES"].split()
        lines += [f"address {mac} {address}" for address in static or [ask_dhcp(mac)]]
    return "\n".join([*lines, "end", ""]).encode()


def _read(cd: bytes) -> dict[str, bytes]:
    """The files of an ISO 9660 image, by path."""
    import pycdlib  # it comes with IMS, and takes a while to load

    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(cd))
    files = {}
    for folder, _, names in iso.walk(joliet_path="/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            content = io.BytesIO()
            iso.get_file_from_iso_fp(content, joliet_path=path)
            files[path[1:]] = content.getvalue()
    iso.close()
    return files
