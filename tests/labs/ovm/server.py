"""The Manager's HTTP server, on loopback."""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.labs import LabError
from tests.labs.ovm import control, mischief
from tests.labs.ovm.faults import REQUEST_KINDS
from tests.labs.ovm.wire import SERVICES, Request, Service, WireError, fault

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.labs.ovm.faults import Fault
    from tests.labs.ovm.manager import Manager

__all__ = ["Server", "serving"]

_MOST_BYTES = 1 << 20
_UNAUTHORIZED = 401
_ROOT = "/OVSWS/"


class Server(ThreadingHTTPServer):
    """Answers for a Manager until it is closed.

    Attributes:
        manager: The Manager.
        closing: Set when whoever waits should end.
    """

    daemon_threads = False  # they are waited for when the server is closed

    def __init__(
        self, manager: Manager, port: int = 0, die: Callable[[], object] | None = None
    ) -> None:
        """Listen on the port, by default on a free one; ``die`` is by default to stop listening."""
        super().__init__(("127.0.0.1", port), Handler)
        self.manager, self.closing = manager, threading.Event()
        manager.die = die or self._stop_listening
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, to cut it off in the end."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        """Close everything, and wait for all threads."""
        self._stop_listening()
        self.server_close()

    def _stop_listening(self) -> None:
        """Nobody listens any more, and every connection is cut."""
        self.closing.set()
        self.manager.jobs.kill()
        self.shutdown()
        self.socket.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(2)


class Handler(BaseHTTPRequestHandler):
    """Answers on one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each body waits until its head is acknowledged
    server: Server

    def do_GET(self) -> None:
        """A WSDL, or a question of the lab's own."""
        name = self.path.removeprefix(_ROOT).removesuffix(".wsdl")
        if self.path.startswith(control.ROOT):
            self._control()
        elif self.path != f"{_ROOT}{name}.wsdl" or name not in SERVICES:
            self._lost()
        elif self._welcome():
            coming = self._noted(f"{name}.wsdl")
            if not mischief.instead(self, coming):
                mischief.answer(self, coming, Service.named(name).wsdl)

    def do_POST(self) -> None:
        """An operation, or an order of the lab's own."""
        name = self.path.removeprefix(_ROOT)
        if self.path.startswith(control.ROOT):
            self._control()
        elif self.path != f"{_ROOT}{name}" or name not in SERVICES:
            self._lost()
        elif self._welcome():
            self._operation(Service.named(name))

    def do_DELETE(self) -> None:
        """An order of the lab's own."""
        self._control()

    def send(self, status: int, body: bytes, content_type: str = mischief.SOAP) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == _UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="OVSWS"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are noted elsewhere."""

    def handle(self) -> None:
        """Until either side closes the connection, which is nothing to speak of."""
        with suppress(ConnectionError):
            super().handle()

    def _operation(self, service: Service) -> None:
        try:
            action = self.headers.get("SOAPAction", "")
            request = service.read(self._body(), action, self.headers.get_content_type())
        except WireError as error:
            self.send(500, fault("Client", str(error)))
            return
        if not self._known(request):
            self.send(500, fault("Client", "FailedAuthentication"))
            return
        coming = self._noted(request.operation)
        if mischief.instead(self, coming):
            return
        try:
            answer = service.write(request.operation, self.server.manager.call(request))
        except (WireError, LabError) as error:
            code = "Client" if isinstance(error, WireError) else "Server"
            self.send(500, fault(code, str(error)))
        else:
            mischief.answer(self, coming, answer)

    def _lost(self) -> None:
        self.close_connection = True  # whatever else was sent on it
        self.send(404, b"<html>no such thing</html>", mischief.HTML)

    def _noted(self, operation: str) -> Fault | None:
        manager = self.server.manager
        manager.requests.note(operation)
        return manager.faults.take(operation, REQUEST_KINDS)

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", "0"))
        if length > _MOST_BYTES:
            self.close_connection = True
            raise WireError(f"{length} bytes are too many")
        return self.rfile.read(length)

    def _control(self) -> None:
        status, answer = control.answer(self.server.manager, self.command, self.path, self._body())
        self.send(status, answer, "application/json")

    def _welcome(self) -> bool:
        """Whether HTTP Basic lets it in; if not, that was said."""
        wanted = self.server.manager.authentication
        words = base64.b64encode(f"{wanted.user}:{wanted.password}".encode()).decode()
        given = self.headers.get("Authorization", "")
        if wanted.kind != "basic" or given == f"Basic {words}":
            return True
        self._body()
        self.send(_UNAUTHORIZED, b"<html>401 Unauthorized</html>", mischief.HTML)
        return False

    def _known(self, request: Request) -> bool:
        wanted = self.server.manager.authentication
        return wanted.kind != "wsse" or request.user == (wanted.user, wanted.password)


@contextmanager
def serving(manager: Manager, port: int = 0) -> Iterator[str]:
    """Serve the Manager in this process, and close it in the end.

    Yields:
        Its address, ``http://127.0.0.1:PORT``.
    """
    server = Server(manager, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.url
    finally:
        server.end()
        thread.join()
        manager.close()
