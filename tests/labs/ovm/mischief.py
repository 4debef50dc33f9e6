"""How an answer goes wrong: see the kinds in ``faults``."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from tests.labs.ovm.wire import fault as soap_fault

if TYPE_CHECKING:
    from tests.labs.ovm.faults import Fault
    from tests.labs.ovm.server import Handler

__all__ = ["HTML", "SOAP", "answer", "instead"]

HTML, SOAP = "text/html", "text/xml; charset=UTF-8"

DRIP_SECONDS = 1.0
_POLL_SECONDS = 0.05
_FILLING = b" " * 65536
_ENTITY = b'<!DOCTYPE Envelope [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'


def instead(handler: Handler, fault: Fault | None) -> bool:
    """Do what is to be done instead of the operation, if anything is."""
    match fault and fault.kind:
        case "fault":
            handler.send(500, soap_fault("Server", "this was to fail"))
        case "500":
            handler.send(500, b"<html><h1>500 Internal Server Error</h1></html>", HTML)
        case "401":
            handler.send(401, b"<html>401 Unauthorized</html>", HTML)
        case "hang":
            _hang(handler)
        case "drop":
            handler.close_connection = True
        case _:
            return False
    return True


def answer(handler: Handler, fault: Fault | None, body: bytes) -> None:
    """Send the answer, or what is to become of it."""
    match fault and fault.kind:
        case "fault-after":
            handler.send(500, soap_fault("Server", "this was done, and then failed"))
        case "hang-after":
            _hang(handler)
        case "drop-after" | "die-after" as kind:
            handler.close_connection = True
            if kind == "die-after":
                handler.server.manager.die()
        case "drip":
            _begin(handler, len(body))
            _drip(handler, body)
        case "truncate" | "huge" as kind:
            _begin(handler)
            handler.wfile.write(body[: len(body) // 2])
            while kind == "huge" and not handler.server.closing.is_set():
                handler.wfile.write(_FILLING)
        case "entity":
            declaration, _, rest = body.partition(b"?>")
            lying = declaration + b"?>" + _ENTITY + rest.replace(b"Body>", b"Body>&secret;", 1)
            handler.send(200, lying)
        case _:
            handler.send(200, body)


def _begin(handler: Handler, length: int | None = None) -> None:
    """An answer that ends with the connection, unless its length is known."""
    handler.send_response(200)
    handler.send_header("Content-Type", SOAP)
    handler.send_header("Connection", "close")
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _drip(handler: Handler, body: bytes) -> None:
    for byte in body:
        handler.wfile.write(bytes([byte]))
        if handler.server.closing.wait(DRIP_SECONDS):
            handler.close_connection = True
            return


def _hang(handler: Handler) -> None:
    """Until the client gives up, or the Manager is closed."""
    handler.close_connection = True
    while not handler.server.closing.wait(_POLL_SECONDS):
        readable, _, _ = select.select([handler.connection], [], [], 0)
        if readable and not handler.connection.recv(1, socket.MSG_PEEK):
            return
