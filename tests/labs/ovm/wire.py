"""The wire format, judged by the WSDL files alone.

SOAP 1.1, document/literal, bare. What comes in must be valid by the service's own XML schema, and
so must what goes out: a client that passes here speaks what the WSDL says, and nothing else.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SERVICES", "Given", "Request", "Result", "Service", "WireError", "envelope", "fault"]

SERVICES = ("LifecycleService", "ResourceService", "ServerPoolService", "VirtualMachineService")

#: What an operation answers: nothing, a text or number, a structure with its fields in the
#: schema's order, or several of these. None within a structure is nil.
Result: TypeAlias = "str | int | Mapping[str, Result] | Sequence[Result] | None"

_ACTION = "http://oracle.ovs.api//"
_TYPES = "{http://oracle.ovs.api/types/}"
_LITERAL = "{http://www.oracle.com/webservices/internal/literal}"
_SOAP_URI = "http://schemas.xmlsoap.org/soap/envelope/"
_SOAP = f"{{{_SOAP_URI}}}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NIL = f"{{{_XSI}}}nil"
_BINDING = "{http://schemas.xmlsoap.org/wsdl/soap/}operation"
_WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_PLAIN = (
    "http://docs.oasis-open.org/wss/2004/01/"
    "oasis-200401-wss-username-token-profile-1.0#PasswordText"
)
_LITERAL_SCHEMA = "lab:literal"  # the one schema imports the other by this address


class WireError(Exception):
    """A request that is not what the WSDL says; the message says why."""


@dataclass(frozen=True, slots=True)
class Given:
    """A structure that came in, already valid by the schema; what is nil or absent is None."""

    element: etree._Element

    def optional(self, name: str) -> str | None:
        """A text."""
        found = self.element.find(_TYPES + name)
        return None if found is None or found.get(_NIL) in {"true", "1"} else found.text or ""

    def text(self, name: str) -> str:
        """A text that there must be."""
        value = self.optional(name)
        if value is None:
            raise WireError(f"{name} is missing")
        return value

    def number(self, name: str) -> int:
        """A whole number."""
        return int(self.text(name))

    def child(self, name: str) -> Given:
        """A structure that there must be."""
        self.text(name)
        return self.children(name)[0]

    def children(self, name: str) -> list[Given]:
        """The structures of an array."""
        return [Given(found) for found in self.element.findall(_TYPES + name)]

    def numbers(self, name: str) -> list[int]:
        """The numbers of an array."""
        return [int(found.text or "") for found in self.element.findall(_TYPES + name)]

    def entries(self, name: str) -> dict[str, str]:
        """A map of texts."""
        entries = self.child(name).element.findall(f"{_LITERAL}mapEntry")
        return {
            entry.findtext(f"{_LITERAL}key") or "": entry.findtext(f"{_LITERAL}value") or ""
            for entry in entries
        }


@dataclass(frozen=True, slots=True)
class Request:
    """What came in.

    Attributes:
        operation: Its name.
        given: What the operation is given.
        user: Name and password of a WS-Security UsernameToken, if there is one.
    """

    operation: str
    given: Given
    user: tuple[str, str] | None


class Service:
    """One service of the Manager, by its WSDL."""

    def __init__(self, name: str) -> None:
        """Read the WSDL."""
        self.wsdl = Path(__file__).with_name("wsdl").joinpath(f"{name}.wsdl").read_bytes()
        tree = etree.fromstring(self.wsdl)
        self._operations = {
            str(found.get("soapAction")).removeprefix(_ACTION) for found in tree.iter(_BINDING)
        }
        self._schema = _schema(tree)
        self._lock = threading.Lock()  # the schema has one log of errors for all threads

    @classmethod
    @cache
    def named(cls, name: str) -> Service:
        """The service of that name; its WSDL is read once."""
        return cls(name)

    def read(self, body: bytes, action: str, content_type: str) -> Request:
        """Understand a request.

        Args:
            body: The envelope.
            action: The header SOAPAction, with its quotes.
            content_type: What the body is said to be.
        """
        if content_type != "text/xml":
            raise WireError(f"SOAP 1.1 is text/xml, and not {content_type}")
        root = _parsed(body)
        if root.tag != f"{_SOAP}Envelope":
            raise WireError(f"{root.tag} is no SOAP 1.1 envelope")
        parts = [str(part.tag) for part in root]
        if parts not in ([f"{_SOAP}Body"], [f"{_SOAP}Header", f"{_SOAP}Body"]):
            raise WireError(f"the envelope holds {parts}")
        content = list(root[-1])
        if len(content) != 1:
            raise WireError(f"the body holds {len(content)} elements")
        operation = self._operation(action, str(content[0].tag))
        self._check(content[0])
        return Request(operation, Given(content[0]), _user(root.find(f"{_SOAP}Header")))

    def write(self, operation: str, result: Result) -> bytes:
        """The answer of an operation."""
        element = etree.Element(f"{_TYPES}{operation}ResponseElement")
        if result is not None:
            _append(element, "result", result)
        self._check(element)
        return envelope(element)

    def _check(self, element: etree._Element) -> None:
        with self._lock:
            if not self._schema.validate(element):
                raise WireError(str(self._schema.error_log))

    def _operation(self, action: str, tag: str) -> str:
        operation = action.removeprefix(f'"{_ACTION}').removesuffix('"')
        if action != f'"{_ACTION}{operation}"' or operation not in self._operations:
            raise WireError(f"no operation has the soapAction {action}")
        if tag != f"{_TYPES}{operation}Element":
            raise WireError(f"{operation} is not asked for by {tag}")
        return operation


def envelope(content: etree._Element) -> bytes:
    """An envelope around the body's one element."""
    root = etree.Element(f"{_SOAP}Envelope", nsmap={"env": _SOAP_URI, "xsi": _XSI})
    etree.SubElement(root, f"{_SOAP}Body").append(content)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def fault(code: str, text: str) -> bytes:
    """An envelope with a fault; ``code`` is one of SOAP's own, Client or Server."""
    element = etree.Element(f"{_SOAP}Fault", nsmap={"env": _SOAP_URI})
    etree.SubElement(element, "faultcode").text = f"env:{code}"
    etree.SubElement(element, "faultstring").text = text
    return envelope(element)


def _parsed(text: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        raise WireError(f"this is no XML: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise WireError("SOAP allows no document type")
    return root


def _schema(wsdl: etree._Element) -> etree.XMLSchema:
    """The schema of the WSDL's types, which is two: libxml2 wants an address to import one from."""
    literal, types = wsdl.findall(f".//{_XSD}schema")

    class Literal(etree.Resolver):
        def resolve(  # type: ignore[override] # the stubs know no context
            self, system_url: str, _public_id: str, context: object
        ) -> object:
            assert system_url == _LITERAL_SCHEMA
            return self.resolve_string(etree.tostring(literal), context, base_url=system_url)

    parser = etree.XMLParser()
    parser.resolvers.add(Literal())
    own = etree.fromstring(etree.tostring(types), parser)
    imported = own.find(f"{_XSD}import")
    assert imported is not None
    imported.set("schemaLocation", _LITERAL_SCHEMA)
    return etree.XMLSchema(own)


def _user(header: etree._Element | None) -> tuple[str, str] | None:
    for block in () if header is None else header:
        if block.tag != f"{_WSSE}Security" and block.get(f"{_SOAP}mustUnderstand") == "1":
            raise WireError(f"the header {block.tag} is not understood")
    token = None if header is None else header.find(f"{_WSSE}Security/{_WSSE}UsernameToken")
    if token is None:
        return None
    password = token.find(f"{_WSSE}Password")
    if password is None or password.get("Type", _PLAIN) != _PLAIN:
        raise WireError("the UsernameToken has no password as PasswordText")
    return token.findtext(f"{_WSSE}Username") or "", password.text or ""


def _append(parent: etree._Element, name: str, value: Result) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            _append(parent, name, item)
        return
    element = etree.SubElement(parent, _TYPES + name)
    if value is None:
        element.set(_NIL, "true")
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    elif isinstance(value, str | int):
        element.text = str(value)
    else:
        assert isinstance(value, dict)
        for field, content in value.items():
            _append(element, field, content)
