"""Web services that answer what a test wants, and clients of ours for these and for the lab's."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, TypeAlias

import requests

from ims_ovm.manager import Manager
from ims_ovm.wire.client import Client, Connection
from ims_ovm.wire.statuses import Statuses
from ims_ovm.wire.table import DEFAULT, corrected
from ims_ovm.wire.wsdl import wsdl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SECONDS = 20.0
SOAP, HTML = "text/xml; charset=utf-8", "text/html"
ENVELOPE = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    ' xmlns="http://oracle.ovs.api/types/"><e:Body>{}</e:Body></e:Envelope>'
)


@dataclass(frozen=True)
class Asked:
    """A request; the body of a GET is empty."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    body: bytes | str = b""
    status: int = 200
    kind: str = SOAP
    headers: Mapping[str, str] = field(default_factory=dict)


Answers: TypeAlias = "Callable[[Asked], Answer]"


@dataclass
class Site:
    """Where the answers come from, and what was asked there."""

    url: str
    asked: list[Asked] = field(default_factory=list)

    def paths(self, method: str = "GET") -> list[str]:
        """What was asked for by that method."""
        return [each.path for each in self.asked if each.method == method]


@contextmanager
def answering(answer: Answers, certificate: Path | None = None) -> Iterator[Site]:
    """Serve such answers on loopback, by TLS if there is a certificate (with its key)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = SECONDS

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = Asked(self.command, self.path, dict(self.headers.items()), body)
            site.asked.append(asked)
            found = answer(asked)
            content = found.body.encode() if isinstance(found.body, str) else found.body
            self.send_response(found.status)
            for name, value in {
                "Content-Type": found.kind,
                "Content-Length": str(len(content)),
                "Connection": "close",
                **found.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            """The test looks at what was asked."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that gives up is nothing to speak of."""

    server = Server(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        site.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wsdl_of(asked: Asked, *changes: tuple[str, str]) -> Answer:
    """The WSDL as the table has it, but for these texts."""
    text = wsdl(DEFAULT, asked.path.rpartition("/")[2].removesuffix(".wsdl"))
    return Answer(_replaced(text, dict(changes)))


def saying(answer: Answer | str) -> Answers:
    """The table's WSDLs, and always this answer, or the content of its body."""
    said = Answer(ENVELOPE.format(answer)) if isinstance(answer, str) else answer
    return lambda asked: wsdl_of(asked) if asked.method == "GET" else said


def speaking(answers: Mapping[str, str], *names: tuple[str, str]) -> Answers:
    """The table's WSDLs with other texts in them, and to each operation that answer's content."""

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return wsdl_of(asked, *names)
        name = asked.headers["SOAPAction"].strip('"').rpartition("/")[2]
        element = f"{name}ResponseElement"
        return Answer(ENVELOPE.format(f"<{element}>{answers[name]}</{element}>"))

    return answer


def without_wsdl(manager: str) -> Answers:
    """That Manager, as if it served no WSDL."""
    return lambda asked: (
        Answer("no such thing", 404, HTML) if asked.method == "GET" else forwarded(manager, asked)
    )


def renamed(manager: str, **names: str) -> Answers:
    """That Manager, as if it called some things by other names."""

    def answer(asked: Asked) -> Answer:
        told = forwarded(manager, asked, {new: old for old, new in names.items()})
        assert isinstance(told.body, bytes)
        return Answer(_replaced(told.body, names), told.status, told.kind)

    return answer


def forwarded(manager: str, asked: Asked, names: Mapping[str, str] | None = None) -> Answer:
    """What that Manager answers."""
    headers = {
        name: _replaced(value.encode(), names or {})
        for name, value in asked.headers.items()
        if name in {"Content-Type", "SOAPAction", "Authorization"}
    }
    body = _replaced(asked.body, names or {})
    told = requests.request(
        asked.method, f"{manager}{asked.path}", data=body, headers=headers, timeout=SECONDS
    )
    return Answer(told.content, told.status_code, told.headers["Content-Type"])


def _replaced(text: bytes, names: Mapping[str, str]) -> bytes:
    for old, new in names.items():
        text = text.replace(old.encode(), new.encode())
    return text


def client_of(
    url: str,
    operations: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    **changed: object,
) -> Client:
    """Our client; without authentication unless told."""
    options: dict[str, object] = {"auth": "none", "seconds": SECONDS, **changed}
    return Client(
        Connection(url, **options),  # type: ignore[arg-type]
        corrected(operations or {}, fields or {}),
    )


def manager_of(client: Client, server_pool: str = "pool", **statuses: str) -> Manager:
    """The Manager's one pool, by that client."""
    return Manager(client, Statuses(statuses), server_pool)
