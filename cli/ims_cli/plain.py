"""The models as plain data: what ``--output json`` and ``yaml`` print.

Keys are stable, in snake_case and with their unit; what is not known is null.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ims_core.config import Config, Pool
    from ims_core.models import (
        VM,
        Address,
        Finding,
        Metrics,
        Receipt,
        ShownContext,
        Snapshot,
        Template,
    )
    from ims_core.registry import Plugin
    from ims_core.service.events import Watched
    from ims_core.store import Operation

__all__ = [
    "address_data",
    "context_data",
    "finding_data",
    "metrics_data",
    "operation_data",
    "operation_details",
    "plugin_data",
    "pool_data",
    "receipt_data",
    "snapshot_data",
    "template_data",
    "vm_data",
    "vm_details",
    "watched_data",
]

_METRICS = (
    "name",
    "uuid",
    "timestamp",
    "cpu_seconds",
    "vcpus",
    "memory_used_bytes",
    "memory_max_bytes",
    "disk_read_bytes",
    "disk_write_bytes",
    "net_rx_bytes",
    "net_tx_bytes",
)

Data = dict[str, Any]


def vm_data(vm: VM) -> Data:
    """A VM as a list shows it: flat."""
    mark = vm.mark
    return {
        "name": vm.name,
        "uuid": vm.uuid,
        "pool": vm.pool,
        "state": str(vm.state),
        "ours": mark is not None,
        "complete": mark.complete if mark else None,
        "template": (mark.template or None) if mark else None,
        "memory_bytes": vm.memory,
        "vcpus": vm.vcpus,
        "problem": vm.problem or None,
    }


def vm_details(vm: VM, *, evidence: bool = True) -> Data:
    """A VM with all that is known of it; addresses are unknown unless evidence was asked for."""
    mark = vm.mark
    addresses = [address_data(address) for address in vm.addresses]
    return {
        **vm_data(vm),
        "operation": (mark.operation or None) if mark else None,
        "context_digest": (mark.digest or None) if mark else None,
        "addresses": addresses if evidence else None,
        "forwards": list(vm.forwards),
        "pending_addresses": list(vm.pending),
        "context_pending": vm.context_pending,
        "receipt": receipt_data(vm),
    }


def context_data(shown: ShownContext) -> Data:
    """A context's files: text where it is text, base64 where it is not."""
    return {
        "vm": shown.vm,
        "layout": shown.layout,
        "carrier": str(shown.carrier),
        "label": shown.label or None,
        "digest": shown.digest,
        "files": {name: _content(content) for name, content in shown.files.items()},
    }


def _content(content: bytes) -> Data:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}


def receipt_data(vm: VM) -> Data | None:
    """The guest's last answer, and why it does not prove this start, if it does not."""
    receipt: Receipt | None = vm.receipt
    if receipt is None:
        return None
    problem = ""
    if vm.mark:
        problem = receipt.problem(digest=vm.mark.digest, nonce=vm.mark.nonce)
    return {
        "digest": receipt.digest,
        "ready": vm.mark is not None and not problem,
        "problem": problem or None,
        "items": [
            {"name": item.name, "ok": item.ok, "message": item.message or None}
            for item in receipt.items
        ],
        "addresses": [address_data(address) for address in receipt.addresses],
    }


def address_data(address: Address) -> Data:
    """An address and who says so."""
    return {"address": address.address, "mac": address.mac or None, "source": address.source}


def metrics_data(metrics: Metrics) -> Data:
    """Counters and gauges, in bytes and seconds."""
    return {name: getattr(metrics, name) for name in _METRICS}


def template_data(template: Template) -> Data:
    """A template's manifest."""
    return {
        "name": template.name,
        "format": template.format,
        "layout": template.layout,
        "digest": template.digest,
        "size_bytes": template.size,
        "virtual_size_bytes": template.virtual_size,
        "min_memory_bytes": template.min_memory or None,
        "default_user": template.default_user or None,
        "source": template.source or None,
        "boot": template.boot or None,
        "kernel": template.kernel or None,
        "ramdisk": template.ramdisk or None,
        "cmdline": template.cmdline or None,
    }


def snapshot_data(snapshot: Snapshot) -> Data:
    """A snapshot; its time in seconds since the epoch."""
    return {
        "name": snapshot.name,
        "taken": snapshot.taken,
        "operation": snapshot.operation or None,
        "memory": snapshot.memory,
        "current": snapshot.current,
    }


def finding_data(finding: Finding) -> Data:
    """One thing that ``check`` looked at."""
    return {
        "subject": finding.subject,
        "ok": finding.ok,
        "message": finding.message,
        "fix": finding.fix or None,
    }


def operation_data(operation: Operation) -> Data:
    """An operation as a list shows it; times in seconds since the epoch."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "pool": operation.pool,
        "subject": operation.subject,
        "vm": operation.vm or None,
        "request": operation.request or None,
        "outcome": str(operation.outcome),
        "started": operation.started,
        "ended": operation.ended,
        "error": dict(operation.error) or None,
    }


def watched_data(watched: Watched) -> Data:
    """One thing that was seen or done; the time in seconds since the epoch."""
    return {
        "at": watched.at,
        "what": watched.what,
        "vm": watched.vm or None,
        "message": watched.message or None,
    }


def operation_details(operation: Operation) -> Data:
    """An operation with its phases and with what it announced."""
    return {
        **operation_data(operation),
        "phases": [
            {"time": step.at, "phase": step.phase, "message": step.message}
            for step in operation.steps
        ],
        "resources": [{"kind": each.kind, "name": each.name} for each in operation.resources],
    }


def plugin_data(plugin: Plugin) -> Data:
    """An installed plugin, broken or not."""
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "target": plugin.target,
        "problem": plugin.broken or None,
    }


def pool_data(config: Config, pool: Pool) -> Data:
    """A pool as ``ims.toml`` has it, without what is the provider's own."""
    return {
        "name": pool.name,
        "provider": pool.provider,
        "default": config.pool().name == pool.name,
        "template": pool.template or None,
        "groups": [name for name, group in config.groups.items() if pool.name in group.pools],
    }
