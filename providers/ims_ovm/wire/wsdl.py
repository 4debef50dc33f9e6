"""A WSDL out of the table, for a Manager that serves none.

The form is that of the stubs: SOAP 1.1, document/literal, bare; ``<operation>Element`` and
``<operation>ResponseElement`` in one namespace, a child ``result``, and a ``soapAction`` with two
slashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ims_ovm.wire.table import Field, Operation, Table

__all__ = ["API", "TYPES", "wsdl"]

API = "http://oracle.ovs.api/"
TYPES = "http://oracle.ovs.api/types/"

_COLLECTIONS = "http://www.oracle.com/webservices/internal/literal"
_PREFIXES = {
    **dict.fromkeys(("boolean", "int", "long", "string"), ""),
    **dict.fromkeys(("list", "map"), "c:"),
}
_COLLECTION_TYPES = f"""\
<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="{_COLLECTIONS}"
 xmlns:c="{_COLLECTIONS}" elementFormDefault="qualified">
<complexType name="mapEntry"><sequence><element name="key" type="anyType"/>
<element name="value" type="anyType"/></sequence></complexType>
<complexType name="map"><sequence><element name="mapEntry" type="c:mapEntry" minOccurs="0"
 maxOccurs="unbounded"/></sequence></complexType>
<complexType name="list"><sequence><element name="item" type="anyType" minOccurs="0"
 maxOccurs="unbounded"/></sequence></complexType></schema>"""


def wsdl(table: Table, service: str) -> bytes:
    """The WSDL of one service, with the operations of it that are in the table."""
    operations = [each for each in table.operations.values() if each.service == service]
    bodies = "".join(_element(each) for each in operations)
    types = "".join(
        _complex(kind.name, ((table.name(kind.name, each.name), each) for each in kind.fields))
        for kind in table.kinds.values()
    )
    port = f"{service}SoapHttpPort"
    return f"""\
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" name="{service}" targetNamespace="{API}"
 xmlns:tns="{API}" xmlns:t="{TYPES}" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
<types>{_COLLECTION_TYPES}
<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="{TYPES}" xmlns:t="{TYPES}"
 xmlns:c="{_COLLECTIONS}" elementFormDefault="qualified">
<import namespace="{_COLLECTIONS}"/>
{types}{bodies}</schema></types>
{"".join(_messages(each) for each in operations)}
<portType name="{service}">{"".join(_port(each) for each in operations)}</portType>
<binding name="{port}" type="tns:{service}">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
{"".join(_binding(each) for each in operations)}</binding>
<service name="{service}"><port name="{port}" binding="tns:{port}">
<soap:address location="http://localhost/OVSWS/{service}"/></port></service>
</definitions>""".encode()


def _complex(name: str, fields: Iterable[tuple[str, Field]]) -> str:
    children = "".join(_child(called, field) for called, field in fields)
    return f'<complexType name="{name}"><sequence>{children}</sequence></complexType>\n'


def _child(name: str, field: Field) -> str:
    prefix = _PREFIXES.get(field.kind, "t:")
    least = ' minOccurs="0"' if field.optional or field.many else ""
    most = ' maxOccurs="unbounded"' if field.many else ""
    kind = quoteattr(f"{prefix}{field.kind}")
    return f'<element name="{name}" type={kind} nillable="true"{least}{most}/>'


def _element(operation: Operation) -> str:
    children = "".join(_child(each.name, each) for each in operation.parameters)
    result = _child("result", operation.result) if operation.result else ""
    return (
        f'<element name="{operation.name}Element"><complexType><sequence>{children}</sequence>'
        f"</complexType></element>\n"
        f'<element name="{operation.name}ResponseElement"><complexType><sequence>{result}'
        f"</sequence></complexType></element>\n"
    )


def _messages(operation: Operation) -> str:
    name = operation.name
    return (
        f'<message name="{name}Request"><part name="parameters" element="t:{name}Element"/>'
        f'</message><message name="{name}Response">'
        f'<part name="parameters" element="t:{name}ResponseElement"/></message>\n'
    )


def _port(operation: Operation) -> str:
    name = operation.name
    return (
        f'<operation name="{name}"><input message="tns:{name}Request"/>'
        f'<output message="tns:{name}Response"/></operation>\n'
    )


def _binding(operation: Operation) -> str:
    return (
        f'<operation name="{operation.name}"><soap:operation soapAction="{API}/{operation.name}"/>'
        '<input><soap:body use="literal"/></input><output><soap:body use="literal"/></output>'
        "</operation>\n"
    )
