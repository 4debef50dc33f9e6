"""VMs as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_cli.addresses import by_source
from ims_cli.plain import context_data, receipt_data, vm_data
from ims_cli.table import columns, fields
from ims_cli.text import harmless
from ims_core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ims_core.models import VM, ShownContext

__all__ = ["describe_context", "describe_vm", "list_of_vms", "summarize_vm"]

_HEAD = ("NAME", "STATE", "TEMPLATE", "POOL", "PROBLEM")


def list_of_vms(vms: Sequence[VM], *, owner: bool) -> Iterator[str]:
    """One line for each VM; with ``owner``, whether IMS made it."""
    head = (*_HEAD[:-1], "OURS", _HEAD[-1]) if owner else _HEAD
    return columns(head, [_row(vm, owner=owner) for vm in vms])


def summarize_vm(vm: VM) -> Iterator[str]:
    """What somebody wants to know who has just made, started or updated a VM."""
    lines = [("context", _context(vm) if vm.context_pending else None), *_network(vm)]
    return fields([*_identity(vm), *((key, value) for key, value in lines if value)])


def describe_vm(vm: VM) -> Iterator[str]:
    """All that is known of a VM."""
    data = vm_data(vm)
    return fields(
        [
            *_identity(vm),
            ("uuid", vm.uuid),
            ("ours", data["ours"]),
            ("memory", format_size(vm.memory)),
            ("vcpus", vm.vcpus),
            ("context", _context(vm)),
            *_network(vm),
            ("problem", data["problem"]),
        ]
    )


def describe_context(shown: ShownContext) -> Iterator[str]:
    """What a guest is told, file by file; bytes that are no text in base64."""
    data = context_data(shown)
    yield from fields([(key, data[key]) for key in ("layout", "carrier", "label", "digest")])
    for name, content in shown.files.items():
        yield ""
        yield f"--- {name} ({len(content)} bytes)"
        [text] = data["files"][name].values()  # or base64
        yield from map(harmless, text.removesuffix("\n").split("\n"))


def _context(vm: VM) -> str | None:
    digest = vm.mark.digest if vm.mark else ""
    later = " (another from the next start on)" if vm.context_pending else ""
    return f"{digest}{later}" or None


def _row(vm: VM, *, owner: bool) -> list[object]:
    data = vm_data(vm)
    row = [vm.name, data["state"], data["template"], vm.pool]
    return [*row, *([data["ours"]] if owner else []), data["problem"]]


def _identity(vm: VM) -> list[tuple[str, object]]:
    data = vm_data(vm)
    return [(key, data[key]) for key in ("name", "pool", "template", "state")]


def _network(vm: VM) -> list[tuple[str, object]]:
    found = [f"{address} ({sources})" for address, sources in by_source(vm.addresses)]
    lines: list[tuple[str, object]] = [("addresses", found)]
    if vm.forwards:
        lines.append(("forwards", list(vm.forwards)))
    if vm.pending:
        lines.append(("pending", [f"{address} (from the next start on)" for address in vm.pending]))
    lines.append(("receipt", _receipt(vm)))
    return lines


def _receipt(vm: VM) -> object:
    data = receipt_data(vm)
    if data is None:
        return None
    if data["ready"]:
        return f"good, {data['digest']}"
    return data["problem"] or data["digest"]
