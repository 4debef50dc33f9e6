"""HTTP to the Manager: bounded in time and size, to one host only, and nothing of it is logged.

zeep's own transport writes whole messages into its log, passwords and all, and reads answers of any
length for any time. It also takes what is cut off for the whole, unless it is strict, and then it
takes no answer with a field more than it knows. So it is not strict, and what it gets is sound.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit, urlunsplit

import requests
from lxml import etree
from requests.auth import HTTPBasicAuth
from zeep.transports import Transport

from ims_core.bounded import within
from ims_core.errors import AccessDeniedError, HypervisorError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_ovm.wire.documents import Documents

__all__ = ["Connection", "ManagerTransport", "NoDocumentError"]

MAX_ANSWER = 64 << 20
"""Bytes; 1,000 VMs take one and a half million."""

_PIECE = 64 << 10
_GRACE_SECONDS = 1.0  # after the bound of the whole, so that it is always that which is told of
_DENIED = (401, 403)
_ABSENT = (404, 410)
_OK, _SERVER_ERROR = 200, 500


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the Manager is, and as whom to speak to it.

    Attributes:
        url: ``http://HOST:8888`` or ``https://…``, without a path.
        auth: ``basic``, ``wsse`` (a user name token with the password) or ``none``.
        ca_file: Whom to trust for https; empty for the system's.
        seconds: That one answer may take.
        cache: A directory for the WSDLs; empty for none.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    auth: str = "basic"
    ca_file: str = ""
    seconds: float = 30.0
    cache: str = ""

    def at_manager(self, url: str) -> str:
        """The same path at the configured endpoint, whatever host the Manager believes to be."""
        manager = urlsplit(self.url)
        parts = urlsplit(url)
        return urlunsplit((manager.scheme, manager.netloc, parts.path, parts.query, ""))


class NoDocumentError(Exception):
    """The Manager serves no WSDL there."""


class ManagerTransport(Transport):  # type: ignore[misc]  # zeep has no types
    """What zeep sends and loads by."""

    def __init__(self, connection: Connection, documents: Documents) -> None:
        """Make a session; nothing is asked yet."""
        session = requests.Session()
        session.trust_env = False  # no password of .netrc, no proxy that nobody told us of
        session.verify = connection.ca_file or True
        if connection.auth == "basic":
            # As bytes, or requests would allow Latin-1 only.
            user, password = connection.user.encode(), connection.password.encode()
            session.auth = HTTPBasicAuth(user, password)
        super().__init__(session=session)
        self._connection = connection
        self._documents = documents

    def load(self, url: str) -> bytes:
        """A WSDL or a schema of the Manager's own.

        Raises:
            NoDocumentError: It has none there.
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise HypervisorError(
                f"the Manager's WSDL refers to {url[:200]!r}", code="wsdl-unreadable"
            )
        url = self._connection.at_manager(url)
        content = self._documents.get(url)
        if content is None:
            response = self._ask("GET", url, b"", {})
            if response.status_code in _ABSENT:
                raise NoDocumentError(url)
            if response.status_code != _OK:
                self._refuse(response.status_code)
            content = response.content
            _check(content)
            self._documents.put(url, content)
        return content

    def post(self, address: str, message: bytes, headers: Mapping[str, str]) -> requests.Response:
        """One request of SOAP, at the configured endpoint."""
        response = self._ask("POST", self._connection.at_manager(address), message, headers)
        kind = response.headers.get("Content-Type", "")
        # A fault comes with 500, and with SOAP in it.
        fault = response.status_code == _SERVER_ERROR and "xml" in kind.lower()
        if response.status_code != _OK and not fault:
            self._refuse(response.status_code)
        _check(response.content)
        return response

    def _ask(
        self, method: str, url: str, data: bytes, headers: Mapping[str, str]
    ) -> requests.Response:
        seconds = self._connection.seconds

        def late() -> UnavailableError:
            return UnavailableError(
                f"{self._connection.url}: the Manager did not answer within {seconds:g} s;"
                " what it did is not known",
                code="no-answer",
                hint="is it overloaded? The pool's `timeout` says how long to wait",
            )

        try:
            return within(seconds, lambda: self._exchange(method, url, data, headers), late)
        except requests.exceptions.SSLError as error:
            raise UnavailableError(
                f"{self._connection.url}: TLS failed: {_reason(error)}",
                hint="set the pool's `ca_file` to the certificate of whoever signed the Manager's",
            ) from None
        except requests.RequestException as error:
            raise UnavailableError(
                f"{self._connection.url}: {_reason(error)}",
                hint="is the Manager up, and the pool's `manager` its address?",
            ) from None

    def _exchange(
        self, method: str, url: str, data: bytes, headers: Mapping[str, str]
    ) -> requests.Response:
        response = self.session.request(
            method,
            url,
            data=data,
            headers=headers,
            timeout=self._connection.seconds + _GRACE_SECONDS,
            stream=True,
            allow_redirects=False,  # elsewhere the password is nobody's business
        )
        with closing(response):
            pieces, size = [], 0
            for piece in response.iter_content(_PIECE):
                size += len(piece)
                if size > MAX_ANSWER:
                    raise HypervisorError(
                        f"{self._connection.url}: the Manager's answer is larger than"
                        f" {MAX_ANSWER >> 20} MiB",
                        code="output-too-large",
                    )
                pieces.append(piece)
        response._content = b"".join(pieces)  # noqa: SLF001 - requests has no bounded read
        return response  # type: ignore[no-any-return]  # zeep's session is not typed

    def _refuse(self, status: int) -> NoReturn:
        url = self._connection.url
        if status in _DENIED:
            raise AccessDeniedError(
                f"{url}: the Manager refuses user {self._connection.user!r} (HTTP {status})",
                hint="check the pool's `user`, its password, and `auth`",
            )
        if status >= _SERVER_ERROR:
            raise UnavailableError(
                f"{url}: the Manager answered HTTP {status}",
                code="manager-failed",
                hint="its own log tells why",
            )
        raise HypervisorError(
            f"{url}: the Manager answered HTTP {status}",
            hint="is the pool's `manager` the Manager's web service port?",
        )


def _reason(error: requests.RequestException) -> str:
    """The innermost words of what went wrong on the line; requests wraps them several times."""
    reason: BaseException = error
    while (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    return str(reason) or type(reason).__name__


def _check(content: bytes) -> None:
    """Refuse what is not wholly there, is no XML, or declares entities.

    Raises:
        ValueError: It is such.
    """
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise ValueError(f"it is no XML: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("it declares a document type, which SOAP forbids")
