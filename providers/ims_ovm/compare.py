"""What IMS expects of the web services, against the WSDLs that a Manager serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ims_core.errors import HypervisorError
from ims_core.models import Finding
from ims_ovm.wire.table import Knowledge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ims_ovm.wire.client import Client
    from ims_ovm.wire.table import Field, Kind, Operation, Table

__all__ = ["compare"]


def compare(client: Client) -> Iterator[Finding]:
    """A finding for each service, and one for each difference; the WSDLs are read anew."""
    client.forget()
    table = client.table
    for service in dict.fromkeys(each.service for each in table.operations.values()):
        operations = [each for each in table.operations.values() if each.service == service]
        try:
            opened = client.service(service)
        except HypervisorError as error:
            yield Finding(service, error.message, error.hint)
            continue
        if not opened.served:
            assumed = [each for each in operations if each.knowledge is not Knowledge.VERIFIED]
            yield Finding(
                service,
                f"the Manager serves no WSDL of it, so nothing proves {len(assumed)} of"
                f" {len(operations)} operations",
                "ask for /OVSWS/SERVICE.wsdl by hand; docs/providers/ovm.md lists what is assumed",
            )
            continue
        found = [each for operation in operations for each in _operation(opened, operation)]
        for kind in _kinds(table, (*_parameters(operations), *_results(operations))).values():
            found += _kind(client, opened, kind)
        yield from found
        if not found:
            yield Finding(
                service, f"has all {len(operations)} operations as IMS calls them", ok=True
            )


def _parameters(operations: Iterable[Operation]) -> Iterator[Field]:
    return (field for operation in operations for field in operation.parameters)


def _results(operations: Iterable[Operation]) -> Iterator[Field]:
    return (operation.result for operation in operations if operation.result)


def _kinds(table: Table, fields: Iterable[Field]) -> dict[str, Kind]:
    """The types of those fields, and of what is in them, by name."""
    found: dict[str, Kind] = {}
    coming = list(fields)
    while coming:
        kind = table.kinds.get(coming.pop().kind)
        if kind and kind.name not in found:
            found[kind.name] = kind
            coming += kind.fields
    return found


def _operation(service: Any, operation: Operation) -> Iterator[Finding]:
    known = service.binding.all()
    live = known.get(operation.name)
    if live is None:
        yield Finding(
            operation.full_name,
            f"{operation.knowledge}, and this Manager has no such operation",
            f"set the pool's operations.{operation.key} to the one of these that does it:"
            f" {', '.join(sorted(known))}",
        )
        return
    if live.style != "document" or live.output is None:
        yield Finding(
            operation.full_name,
            f"{operation.knowledge}, and this Manager's is not document/literal with an answer",
            "IMS cannot call it; is there another operation that does it?",
        )
        return
    asked, answered = _children(live.input), _children(live.output)
    told = f"{operation.knowledge}, and this Manager"
    expected = [each.name for each in operation.parameters]
    # They are given by name, so their order is the WSDL's own affair.
    if set(asked) != set(expected):
        yield Finding(
            operation.full_name,
            f"{told} calls its children: {', '.join(asked) or 'none'}",
            f"set the pool's operations.{operation.key} to {operation.service}.{operation.name}"
            f"(…) with those, in the order of: {', '.join(expected) or 'none'}",
        )
    if operation.result and list(answered) != ["result"]:
        yield Finding(
            operation.full_name,
            f"{told} answers with: {', '.join(answered) or 'nothing'}",
            "IMS reads a `result`; is there another operation that does it?",
        )
    for field, element in (
        *((each, asked.get(each.name)) for each in operation.parameters),
        *((each, answered.get(each.name)) for each in _results([operation])),
    ):
        yield from _type(f"{operation.full_name} {field.name}", told, field, element)


def _kind(client: Client, service: Any, kind: Kind) -> Iterator[Finding]:
    live = service.fields(kind.name)
    if live is None:
        yield Finding(
            kind.name,
            f"{kind.knowledge}, and this Manager has no such type",
            "compare the service's WSDL with the table in docs/providers/ovm.md",
        )
        return
    told = f"{kind.knowledge}, and this Manager"
    for field in kind.fields:
        called = client.table.name(kind.name, field.name)
        element = live.pop(called, None)
        yield from _type(f"{kind.name}.{called}", told, field, element)
        if element is None and not field.optional:
            yield Finding(
                f"{kind.name}.{called}",
                f"{told}'s {kind.name} has besides: {', '.join(live) or 'nothing'}",
                f'set the pool\'s fields."{kind.name}.{field.name}" to the one that means it',
            )
    operations = client.table.operations.values()
    if kind.name in _kinds(client.table, _results(operations)):
        return  # it is given back as it came
    for name, element in live.items():
        if element.min_occurs and not element.nillable:
            yield Finding(
                f"{kind.name}.{name}",
                f"{told} demands it, which IMS does not give",
                "IMS cannot call what takes it",
            )


def _children(message: Any) -> dict[str, Any]:
    return dict(getattr(message.body.type, "elements", ())) if message.body is not None else {}


def _type(where: str, told: str, field: Field, element: Any) -> Iterator[Finding]:
    """Whether a field that is there holds what it should."""
    if element is None:
        return
    live = f"{element.type.name}{'[]' if element.accepts_multiple else ''}"
    expected = f"{field.kind}{'[]' if field.many else ''}"
    if live != expected:
        yield Finding(
            where,
            f"{told} has {live} there, and not {expected}",
            "compare the service's WSDL with the table in docs/providers/ovm.md",
        )
