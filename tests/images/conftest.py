"""What the image tests share: the real qemu-img as judge, and an HTTPS server that misbehaves."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Qemu:
    """qemu-img and qemu-io in a directory of their own."""

    folder: Path

    def run(self, *arguments: str | Path, ok: tuple[int, ...] = (0,)) -> str:
        done = self.attempt(*arguments)
        assert done.returncode in ok, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def attempt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        line = [str(argument) for argument in arguments]
        return subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )

    def info(self, path: Path) -> dict[str, Any]:
        text = self.run("qemu-img", "info", "-f", "qcow2", "--output=json", path)
        return dict(json.loads(text))

    def same_content(self, one: Path, other: Path) -> bool:
        done = self.attempt("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", one, other)
        return done.returncode == 0


@pytest.fixture(scope="session")
def qemu(tmp_path_factory: pytest.TempPathFactory) -> Qemu:
    for tool in ("qemu-img", "qemu-io"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: qemu-utils)")
    return Qemu(tmp_path_factory.mktemp("qemu"))


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked."""

    url: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    ranges: bool = True
    wrong_range: bool = False
    chunked: bool = False
    close_delimited: bool = False
    cut_after: int | None = None
    claim: int | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    hold: threading.Event | None = None
    drip: bool = False
    closing: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Tests read Site.asked instead."""

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.close_connection = True
        if site.hold is not None:
            site.hold.wait(30)
        if site.drip:
            self._drip()
            return
        if site.status != 200:
            self._answer(site.status, b"", site.headers)
            return
        etag = site.headers.get("ETag")
        if etag and self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.end_headers()
            return
        wanted = self.headers.get("Range", "")
        validator = self.headers.get("If-Range")
        known = validator in {etag, site.headers.get("Last-Modified")} - {None}
        if site.ranges and wanted and known:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            total = len(site.body)
            if start >= total:
                self._answer(416, b"", {"Content-Range": f"bytes */{total}"})
                return
            place = f"{start + site.wrong_range}-{total - 1}"
            span = {"Content-Range": f"bytes {place}/{total}"}
            self._answer(206, site.body[start:], site.headers | span)
            return
        self._answer(200, site.body, site.headers)

    def _drip(self) -> None:
        """Keep every single read short, for ever."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(OSError):
            while not self.server.site.closing.wait(0.02):
                self.wfile.write(b"X")

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        site = self.server.site
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif not site.close_delimited:
            self.send_header("Content-Length", str(site.claim or len(body)))
        self.end_headers()
        self.wfile.write(body[: site.cut_after])

    def send_response(self, code: int, message: str | None = None) -> None:
        """As the base class, but with the Date of the test, if it sets one."""
        self.log_request(code)
        self.send_response_only(code, message)
        if "Date" not in self.server.site.headers:
            self.send_header("Date", self.date_time_string())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, *_: object) -> None:
        """A client that goes away is part of the tests."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    line = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(
        [*line.split(), *subject, *usage, *files], cwd=folder, check=True, capture_output=True
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return both


@contextlib.contextmanager
def serving(certificate: Path) -> Iterator[Site]:
    server = _Server(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    site = Site(url=f"https://127.0.0.1:{server.server_address[1]}")
    server.site = site
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        if site.hold is not None:
            site.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the default TLS context trust our server, as an administrator would."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return certificate


@pytest.fixture
def site(trusted: Path) -> Iterator[Site]:
    with serving(trusted) as one:
        yield one


@pytest.fixture
def other_site(trusted: Path) -> Iterator[Site]:
    with serving(trusted) as one:
        yield one
