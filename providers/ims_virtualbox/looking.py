"""VMs as the SPI shows them: their states, and what their guests answered and are known by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.receipt import RECEIPT_BYTES, parse_receipt, receipt_of_values
from ims_core.models import VM, State
from ims_virtualbox.addresses import addresses_of, leases_in
from ims_virtualbox.names import FORWARD, RECEIPT
from ims_virtualbox.surveying import survey
from ims_virtualbox.vboxmanage.listing import properties_of
from ims_virtualbox.vboxmanage.states import STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ims_core.models import Receipt
    from ims_virtualbox.host import VirtualBoxHost
    from ims_virtualbox.surveying import Found
    from ims_virtualbox.vboxmanage.document import Document, Forward

__all__ = ["inspect"]

_MIB = 1 << 20


def inspect(host: VirtualBoxHost, vms: Collection[str] | None, *, evidence: bool) -> Sequence[VM]:
    """See the SPI."""
    machines = [
        each
        for each in survey(host).machines
        if vms is None or each.uuid in vms or each.name in vms
    ]
    told = _evidence(host, machines) if evidence and machines else {}
    return [_vm(each, told, evidence=evidence) for each in machines]


def _state(machine: Found) -> State:
    known = STATES.get(machine.state)
    if known is None:
        return State.UNKNOWN
    never_ran = known.state is State.STOPPED and not machine.ran
    return State.DEFINED if never_ran else known.state


def _vm(machine: Found, told: Mapping[str, bytes], *, evidence: bool) -> VM:
    document = machine.document
    receipt = _receipt(machine, told) if evidence else None
    return VM(
        name=machine.name,
        uuid=machine.uuid,
        state=_state(machine),
        mark=machine.mark,
        memory=document.memory * _MIB if document is not None else None,
        vcpus=document.cpus if document is not None else None,
        problem=_problem(machine),
        addresses=addresses_of(
            document.adapters if document is not None else (),
            receipt,
            _properties(machine, told) if machine.state == "running" else {},
            leases_in(told.get("leases", b""), float(told.get("now", b"").strip() or 0)),
        )
        if evidence and not (machine.is_off or machine.is_saved)
        else (),
        receipt=receipt,
        forwards=tuple(_forward(rule) for rule in _ssh_rules(document)),
    )


def _problem(machine: Found) -> str:
    if machine.document is None:
        return "VirtualBox cannot read its settings"
    if machine.state == "gurumeditation":
        return "VirtualBox gave up on its guest (guru meditation)"
    return machine.missing


def _ssh_rules(document: Document | None) -> list[Forward]:
    cards = document.adapters if document is not None else ()
    return [rule for card in cards for rule in card.forwards if rule.name == FORWARD]


def _forward(rule: Forward) -> str:
    return f"tcp {rule.host_ip or '*'}:{rule.host_port} to port {rule.guest_port}"


def _evidence(host: VirtualBoxHost, machines: Sequence[Found]) -> dict[str, bytes]:
    wanted = [
        word
        for each in machines
        for word in (each.uuid, each.folder.name if each.folder else "", each.state)
    ]
    return host.ask("evidence", *wanted, subject="VMs")


def _properties(machine: Found, told: Mapping[str, bytes]) -> Mapping[str, str]:
    """Those of now while it runs, else those that were kept."""
    now = told.get(f"properties {machine.uuid}")
    if now is not None:
        return properties_of(now.decode(errors="replace"))
    return machine.document.properties if machine.document is not None else {}


def _receipt(machine: Found, told: Mapping[str, bytes]) -> Receipt | None:
    """The guest's last answer: the one to the last start, if it came by either way."""
    sent = told.get(f"receipt {machine.uuid}", b"")[-RECEIPT_BYTES:]
    values = {
        key.removeprefix(RECEIPT): value
        for key, value in _properties(machine, told).items()
        if key.startswith(RECEIPT)
    }
    found = [each for each in (parse_receipt(sent), receipt_of_values(values)) if each]
    nonce = machine.mark.nonce if machine.mark is not None else ""
    return next((each for each in found if each.nonce == nonce), found[0] if found else None)
