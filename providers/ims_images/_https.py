"""One HTTPS GET, bounded in every way: redirects, each read, and the whole.

Only https is spoken, certificates are always verified, and what an error shows of a URL has
neither its query nor a password in it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from ims_core.errors import (
    AccessDeniedError,
    ImsError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from ims_images._url import checked_url, public_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_images._deadline import Deadline

__all__ = [
    "incomplete",
    "network_errors",
    "open_url",
    "unavailable",
]

MAX_REDIRECTS = 5
STALL_SECONDS = 60.0
"""Longest silence of a server, within the caller's deadline."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ACCESS = frozenset({401, 403, 407})
_MISSING = frozenset({404, 410})


def unavailable(url: str, problem: str, *, code: str = "image-server-unavailable") -> ImsError:
    """The server failed us in a way that may pass."""
    return UnavailableError(
        f"{public_url(url)} {problem}",
        code=code,
        hint="try again: what has arrived is kept where the server allows it",
    )


def incomplete(url: str) -> ImsError:
    """The server stopped before the end."""
    return unavailable(url, "closed the connection early", code="image-fetch-incomplete")


class _Connection(http.client.HTTPSConnection):
    """A connection whose socket the deadline can reach, from before the TLS handshake."""

    def __init__(self, host: str, port: int | None, deadline: Deadline, server: str) -> None:
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._deadline = deadline
        self._server = server
        timeout = min(STALL_SECONDS, deadline.left())
        super().__init__(host, port, timeout=timeout, context=self._tls)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self._deadline.watch(self.sock.dup())
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server)


def _connection(url: str, deadline: Deadline) -> _Connection:
    """To the server, or to the proxy that the environment names for it."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or 443
    proxy = "" if proxy_bypass(parts.netloc) else getproxies().get("https", "")
    if not proxy:
        return _Connection(host, port, deadline, host)
    via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = _Connection(str(via.hostname), via.port or 80, deadline, host)
    headers = {}
    if via.username is not None:
        user = f"{unquote(via.username)}:{unquote(via.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    connection.set_tunnel(host, port, headers)
    return connection


@contextlib.contextmanager
def network_errors(url: str, deadline: Deadline) -> Iterator[None]:
    """Turn what sockets, TLS and HTTP raise into our errors."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise UnavailableError(
            f"{public_url(url)} has no certificate we can trust: {error.verify_message}",
            code="image-server-untrusted",
            hint="if the server is yours, add its CA to the system's, or name it in SSL_CERT_FILE",
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        deadline.left()
        if isinstance(error, TimeoutError):
            raise unavailable(url, f"sent nothing for {STALL_SECONDS:g} seconds") from error
        if isinstance(error, http.client.IncompleteRead):
            raise incomplete(url) from error
        raise unavailable(url, f"cannot be read: {error}") from error


@contextlib.contextmanager
def open_url(
    url: str, headers: Mapping[str, str], deadline: Deadline
) -> Iterator[http.client.HTTPResponse]:
    """GET a URL, following redirects to https; the body is still to be read.

    Args:
        url: As :func:`checked_url` returns it.
        headers: To send to every server on the way; so nothing secret.
        deadline: Of the whole transfer.

    Yields:
        A response of status 200, 206, 304 or 416.

    Raises:
        InvalidError: It redirects to something else than https.
        NotFoundError: There is no such file.
        AccessDeniedError: The server wants credentials.
        UnavailableError: The server cannot be reached, or fails.
        DeadlineError: The time is up.
    """
    current = url
    for _ in range(MAX_REDIRECTS + 1):
        with contextlib.closing(_connection(current, deadline)) as connection:
            parts = urlsplit(current)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            with network_errors(current, deadline):
                connection.request("GET", target, headers=dict(headers))
                response = connection.getresponse()
            with response:
                deadline.left()  # http.client takes a connection we shut down for the last header
                if response.status not in _REDIRECTS:
                    _check_status(current, response.status)
                    yield response
                    return
                current = _redirect_target(current, response)
    raise unavailable(url, f"redirects more than {MAX_REDIRECTS} times")


def _redirect_target(url: str, response: http.client.HTTPResponse) -> str:
    location = response.headers.get("Location", "")
    if not location:
        raise unavailable(url, "redirects to nowhere")
    try:
        return checked_url(urljoin(url, location))
    except InvalidError as error:
        error.message = f"{public_url(url)} redirects, but {error.message}"
        error.args = (error.message,)
        raise


def _check_status(url: str, status: int) -> None:
    if status in {200, 206, 304, 416}:
        return
    answer = f"answers {status} {http.client.responses.get(status, '')}".rstrip()
    if status in _MISSING:
        raise NotFoundError(
            f"{public_url(url)} {answer}",
            code="image-not-found",
            hint="look at the publisher's list of images; old ones are removed",
        )
    if status in _ACCESS:
        raise AccessDeniedError(
            f"{public_url(url)} {answer}",
            hint="use a signed URL, or download the image and give its path",
        )
    raise unavailable(url, answer)
