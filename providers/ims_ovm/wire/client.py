"""One call of a web service by our own word for it; faults as our errors."""

from __future__ import annotations

import io
import logging
import re
import threading
from typing import TYPE_CHECKING, Any

import zeep
from lxml import etree
from zeep import exceptions
from zeep.helpers import serialize_object
from zeep.wsse.username import UsernameToken

from ims_core.errors import AccessDeniedError, HypervisorError, ImsError
from ims_ovm.wire.documents import Documents
from ims_ovm.wire.transport import Connection, ManagerTransport, NoDocumentError
from ims_ovm.wire.wsdl import API, TYPES, wsdl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ims_ovm.wire.table import Operation, Table

__all__ = ["Client", "Connection"]

# Not strict: see ``transport``.
_SETTINGS = zeep.Settings(
    strict=False, forbid_dtd=True, forbid_entities=True, xsd_ignore_sequence_order=True
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST_FAULT = 500
_DENIED = ("failedauthentication", "failedcheck", "invalidsecurity", "securitytokenunavailable")
_MISSING = object()

# It would print a traceback for a number that is none, which we take as not told.
logging.getLogger("zeep").addHandler(logging.NullHandler())


class Client:
    """The Manager's web services. Safe to be used from several threads at once."""

    def __init__(self, connection: Connection, table: Table) -> None:
        """Nothing is asked before the first call."""
        self._connection = connection
        self.table = table
        self._lock = threading.Lock()
        self._services: dict[str, _Service] = {}
        self._documents = Documents(connection.cache, connection.url)
        self._transport = ManagerTransport(connection, self._documents)

    @property
    def endpoint(self) -> str:
        """Where the Manager is."""
        return self._connection.url

    def close(self) -> None:
        """Give the connection back."""
        self._transport.session.close()

    def forget(self) -> None:
        """Have the WSDLs read anew."""
        with self._lock:
            self._services.clear()
            self._documents.forget()

    def call(self, key: str, *values: object, subject: str) -> Any:
        """One request, and its result as zeep's objects, a list of them, or None.

        Args:
            key: Our word for the operation.
            values: Of its parameters, in the table's order; objects that an earlier call returned
                may be among them.
            subject: What it is about, for an error's text.

        Raises:
            ImsError: The Manager cannot be reached, refused, or answered what cannot be read.
        """
        operation = self.table.operations[key]
        service = self.service(operation.service)
        words = _words(operation, values)

        def said(error: Exception) -> str:
            """In one line of a length that can be shown, and without a password."""
            text = str(error)
            for secret in {self._connection.password, *_secrets(words, self.table.secrets)} - {""}:
                text = text.replace(secret, "…")
            return _plain(text)

        try:
            service.message(operation.name, words)
        except Exception as error:  # noqa: BLE001 - zeep raises whatever it stumbles over
            raise _differs(subject, operation, said(error)) from None
        try:
            return service.call(operation.name, words)
        except ImsError:
            raise
        except exceptions.Fault as fault:
            raise self._refusal(subject, fault, said(fault)) from None
        except Exception as error:  # noqa: BLE001
            raise _unreadable(subject, operation, said(error)) from None

    def message(self, key: str, *values: object) -> str:
        """The SOAP message of a call that is not made, for people."""
        operation = self.table.operations[key]
        service = self.service(operation.service)
        try:
            return service.message(operation.name, _words(operation, values))
        except Exception as error:  # noqa: BLE001
            raise _differs(operation.key, operation, _plain(str(error))) from None

    def make(self, kind: str, **fields: object) -> dict[str, object]:
        """A value of one of the table's types, with its fields as the site calls them."""
        return {self.table.name(kind, name): value for name, value in fields.items()}

    def read(self, kind: str, value: object, field: str) -> Any:
        """A field of such a value; None where it is missing or nil.

        Raises:
            HypervisorError: By the Manager's WSDL its type has no such field.
        """
        name = self.table.name(kind, field)
        found = None if value is None else getattr(value, name, _MISSING)
        if found is _MISSING:
            raise HypervisorError(
                f"the Manager's {kind} has no field {name!r}",
                code="wsdl-differs",
                hint=f'the pool\'s fields."{kind}.{field}" tells its name;'
                " `ims check` compares them all",
            )
        return found

    def service(self, name: str) -> _Service:
        """One of the services, its WSDL loaded.

        Raises:
            ImsError: It cannot be had.
        """
        with self._lock:
            if name not in self._services:
                self._services[name] = self._open(name)
            return self._services[name]

    def _open(self, name: str) -> _Service:
        url = f"{self._connection.url}/OVSWS/{name}.wsdl"
        wsse = None
        if self._connection.auth == "wsse":
            wsse = UsernameToken(self._connection.user, self._connection.password)
        options = {
            "transport": self._transport,
            "settings": _SETTINGS,
            "wsse": wsse,
            "plugins": [_Expected()],
        }
        try:
            try:
                client, served = zeep.Client(url, **options), True
            except NoDocumentError as absent:
                if str(absent) != url:  # what it imports
                    raise
                text = io.BytesIO(wsdl(self.table, name))
                client, served = zeep.Client(text, **options), False
            return _Service(client, name, served=served)
        except ImsError:
            raise
        except Exception as error:  # noqa: BLE001 - zeep raises whatever it stumbles over
            self._documents.forget()
            raise HypervisorError(
                f"{url} is no WSDL that can be read: {_plain(str(error))}",
                code="wsdl-unreadable",
                hint="is the pool's `manager` an Oracle VM Manager?",
            ) from None

    def _refusal(self, subject: str, fault: exceptions.Fault, text: str) -> ImsError:
        text = text or "a fault without a text"
        # WS-Security has codes for it; some say it in the text only.
        if any(word in f"{fault.code} {text}".lower() for word in _DENIED):
            return AccessDeniedError(
                f"{self.endpoint}: the Manager refuses user {self._connection.user!r}: {text}",
                hint="check the pool's `user`, its password, and `auth`",
            )
        return HypervisorError(f"{subject}: the Manager refused: {text}", code="manager-refused")


class _Expected(zeep.Plugin):  # type: ignore[misc]  # zeep has no types
    """zeep takes an answer without content, or to another question, for an empty one."""

    def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> tuple[Any, Any]:
        """Look at what came in."""
        space = operation.nsmap["soap-env"]
        body = envelope.find(f"{{{space}}}Body")
        tags = [] if body is None else [each.tag for each in body]
        wanted = operation.output.body.qname.text
        if tags not in ([wanted], [f"{{{space}}}Fault"]):
            raise ValueError(f"it holds {', '.join(map(str, tags)) or 'nothing'}, not {wanted}")
        return envelope, http_headers


class _Service:
    """A service as its WSDL has it.

    Attributes:
        served: Whether the Manager served that; else it is made of the table.
    """

    def __init__(self, client: zeep.Client, name: str, *, served: bool) -> None:
        self.served = served
        services = client.wsdl.services
        service = services.get(f"{{{API}}}{name}") or next(iter(services.values()))
        port = next(iter(service.ports.values()))
        self.binding = port.binding
        self._client = client
        self._proxy = client.create_service(port.binding.name.text, port.binding_options["address"])

    def fields(self, kind: str) -> dict[str, Any] | None:
        """A type's fields as zeep's elements, by their names; None where there is no such type."""
        try:
            return dict(self._client.get_type(f"{{{TYPES}}}{kind}").elements)
        except exceptions.LookupError:
            return None

    def call(self, operation: str, words: dict[str, object]) -> Any:
        return self._proxy[operation](**words)

    def message(self, operation: str, words: dict[str, object]) -> str:
        # Not of zeep's client, which would put the user's token into it.
        envelope = self.binding.get(operation).create(**words).content
        return str(etree.tostring(envelope, pretty_print=True, encoding="unicode"))


def _words(operation: Operation, values: Sequence[object]) -> dict[str, object]:
    """The children of a request by their names."""
    pairs = zip(operation.parameters, values, strict=True)
    return {each.name: serialize_object(value, dict) for each, value in pairs}


def _secrets(value: object, names: frozenset[str]) -> Iterator[str]:
    """The texts of fields with these names, wherever they are in it."""
    if isinstance(value, dict):
        for name, content in value.items():
            if isinstance(content, str) and name in names:
                yield content
            yield from _secrets(content, names)
    elif isinstance(value, list):
        for each in value:
            yield from _secrets(each, names)


def _plain(text: str) -> str:
    """One line of a length that can be shown."""
    return _CONTROL.sub(" ", text).strip()[:_LONGEST_FAULT]


def _unreadable(subject: str, operation: Operation, text: str) -> HypervisorError:
    return HypervisorError(
        f"{subject}: the Manager's answer to {operation.full_name} cannot be read: {text}",
        code="bad-answer",
        hint="what it did is not known; `ims check` compares what IMS expects with its WSDLs",
    )


def _differs(subject: str, operation: Operation, text: str) -> HypervisorError:
    return HypervisorError(
        f"{subject}: the Manager's WSDL has no {operation.full_name} as IMS calls it: {text}",
        code="wsdl-differs",
        hint="`ims check` names each difference; the pool's `operations` and `fields` correct them",
    )
