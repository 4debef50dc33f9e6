"""Run in dom0: write the keys of a JSON file below a domain's ``vm-data``, all in one step.

Speaks xenstore's wire protocol (xen/include/public/io/xs_wire.h), so that no value appears among
the arguments of a process. ``vm-data/ims`` is replaced as a whole. Any Python from 3.6 on runs it.
"""

import json
import os
import signal
import socket
import struct
import sys
from typing import Dict

READ, TRANSACTION_START, TRANSACTION_END, WRITE, RM, ERROR = 2, 6, 7, 11, 13, 16
HEADER = struct.Struct("=IIII")  # type, request id, transaction id, length
SOCKETS = ("/run/xenstored/socket", "/var/run/xenstored/socket")
DEVICE = "/dev/xen/xenbus"
SECONDS = 20
TRIES = 20


class Refused(Exception):
    """xenstored answered with an error; its word is the text."""


class Store:
    """A connection to xenstored, over its socket or the kernel."""

    def __init__(self) -> None:
        found = [path for path in SOCKETS if os.path.exists(path)]
        if found:
            link = socket.socket(socket.AF_UNIX)
            link.connect(found[0])
            self._descriptor = link.detach()
        else:
            self._descriptor = os.open(DEVICE, os.O_RDWR)

    def ask(self, kind: int, transaction: int, payload: bytes) -> str:
        """Send one request and return its answer."""
        request = HEADER.pack(kind, 0, transaction, len(payload)) + payload
        while request:
            request = request[os.write(self._descriptor, request) :]
        answer, _, _, size = HEADER.unpack(self._exactly(HEADER.size))
        content = self._exactly(size).rstrip(b"\0").decode()
        if answer == ERROR:
            raise Refused(content)
        return content

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self._descriptor, size - len(data))
            if not part:
                raise Refused("xenstored closed the connection")
            data += part
        return data


def put(store: Store, domain: str, uuid: str, values: Dict[str, str]) -> None:
    """Replace the keys in one transaction, if the domain still is that VM's."""
    transaction = int(store.ask(TRANSACTION_START, 0, b"\0"))
    if store.ask(READ, transaction, f"{domain}/vm\0".encode()) != f"/vm/{uuid}":
        raise Refused("the domain is another VM's by now")
    base = f"{domain}/vm-data"
    try:
        store.ask(RM, transaction, f"{base}/ims\0".encode())
    except Refused as error:
        if str(error) != "ENOENT":
            raise
    for key, value in values.items():
        store.ask(WRITE, transaction, f"{base}/{key}\0{value}".encode())
    store.ask(TRANSACTION_END, transaction, b"T\0")


def main(domid: str, uuid: str, path: str) -> None:
    """Put the keys, again while somebody else writes at the same time."""
    signal.alarm(SECONDS)  # a xenstored that hangs must not keep us for ever
    with open(path, encoding="utf-8") as file:
        values = json.load(file)
    store = Store()
    for _ in range(TRIES):
        try:
            put(store, f"/local/domain/{int(domid)}", uuid, values)
        except Refused as error:
            if str(error) != "EAGAIN":
                sys.exit(f"xenstored refused the context: {error}")
        else:
            return
    sys.exit(f"xenstored was busy {TRIES} times")


main(*sys.argv[1:])
