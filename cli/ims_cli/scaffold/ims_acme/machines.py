"""VMs as the hypervisor is told of them, and as IMS is told of them."""

from collections.abc import Iterable, Mapping, Sequence

from ims_bootparams.receipt import parse_receipt
from ims_core.errors import ConflictError
from ims_core.models import VM, Address, Interface, Mark, State, VMSpec

from .hypervisor import Card, Machine
from .translate import ADDRESSES, MARK, mark_of, mark_text, state_of

__all__ = ["described", "promised", "refuse_suspended", "seen", "taken"]


def described(spec: VMSpec, mark: Mark) -> Machine:
    """A new VM. Its UUID is ours (sentence 17); its volumes' names have the operation's id (6)."""
    # YOURS: all that your hypervisor wants to know. If it insists on ids of its own, keep our UUID
    # beside the mark.
    stem = f"{spec.name}-{mark.operation}"
    return Machine(
        uuid=spec.uuid,
        name=spec.name,
        cpus=spec.vcpus,
        memory=spec.memory,
        image=spec.template.name,
        disk=f"{stem}.disk",
        cd=f"{stem}.iso",
        cards=tuple(Card(each.mac, each.network) for each in spec.interfaces),
        tags={MARK: mark_text(mark), ADDRESSES: promised(spec.interfaces)},
    )


def seen(
    machine: Machine, volumes: set[str], leases: Mapping[str, str], serial: Mapping[str, bytes]
) -> VM:
    """A VM as it is now (sentences 14 to 17).

    Args:
        machine: What the hypervisor says of it.
        volumes: The names of those that there are.
        leases: The address of each card that has one by DHCP, by MAC.
        serial: What guests printed, by UUID.
    """
    # YOURS: where a guest's words arrive: a serial port, the properties of a guest agent. And who
    # knows its addresses: by MAC, each with its source, link-local ones left out (16).
    on = state_of(machine) is State.RUNNING
    receipt = parse_receipt(serial.get(machine.uuid, b"")) if on else None
    macs = [card.mac for card in machine.cards if on and card.mac in leases]
    leased = [Address(leases[mac], mac, "lease") for mac in macs]
    missing = [each for each in (machine.disk, machine.cd) if each and each not in volumes]
    return VM(
        name=machine.name,
        uuid=machine.uuid,
        state=state_of(machine),
        mark=mark_of(machine),
        memory=machine.memory,
        vcpus=machine.cpus,
        problem=f"its volume {missing[0]} is missing" if missing else "",
        addresses=(*leased, *(receipt.addresses if receipt else ())),
        receipt=receipt,
    )


def promised(cards: Sequence[Interface]) -> str:
    """The static addresses of cards, as a tag keeps them."""
    return " ".join(address for card in cards for address in card.addresses)


def taken(machines: Iterable[Machine], leases: Mapping[str, str]) -> dict[str, str]:
    """The VM that has each address, be it promised or leased."""
    found = {}
    for machine in machines:
        leased = [leases[card.mac] for card in machine.cards if card.mac in leases]
        for address in [*leased, *machine.tags.get(ADDRESSES, "").split()]:
            found[address.partition("/")[0]] = f"VM {machine.name!r}"
    return found


def refuse_suspended(machine: Machine) -> None:
    """Raise `vm-suspended` if the memory of a VM is saved: it would go on instead of starting."""
    if state_of(machine) is State.SUSPENDED:
        raise ConflictError(
            f"VM {machine.name!r} is suspended", code="vm-suspended", vm=machine.name
        )
