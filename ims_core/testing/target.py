"""What an author tells the suite about the provider under test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ims_core.models import Interface

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ims_core.models import State, Template
    from ims_core.spi import Provider

__all__ = ["Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An open provider, and what the tests may use. What is left out is not tested.

    Attributes:
        provider: Open; the author's fixture closes it.
        template: Already in the pool. VMs are made from it; it is never changed.
        image: The file that ``template`` was made of; from it the tests import templates of their
            own. Where the provider takes raw images it may be left out.
        interfaces: The cards of each VM, without MACs.
        store_id: Written into the marks of the VMs.
        memory: Bytes of each VM; 0 for what the template needs, at least 64 MiB.
        settings: What ``provider`` was opened with, so that it can be opened once more.
        unreachable: Settings of a hypervisor that is not there.
        static_address: A free static address in the first card's network, without prefix length.
        expect_start: Whether VMs can really be started here.
        boots: Whether guests come up and answer with a receipt (their layout must provide for it).
        boot_timeout: Seconds that this may take.
        suspends_at_once: Whether a VM can be suspended before its guest is up. It cannot where the
            guest's kernel has to help, as with Xen.
        evidence_at_once: Whether the hypervisor has a request for the evidence of many VMs. libvirt
            has none: each guest's addresses and answer are asked for on their own.
        make_foreign: Makes a VM of that name by other means than the provider, and returns what
            removes it again if it is still there.
        break_vm: Damages the VM of that UUID so that it would not start, and returns what removes
            the traces of that which ``delete`` cannot know.
        copy_vm: Copies the VM of that UUID, which is off, by other means than the provider, with
            all that the hypervisor keeps for it; returns what removes the copy.
        lab: What stands behind the provider, for the report: "libvirt 11.3, QEMU without KVM".
        requests: Counts what was asked of the hypervisor so far; only differences are looked at.
        freeze: Makes the hypervisor stop answering for as long as the context lasts.
        deafen: Makes guests ignore that they are asked to stop, for as long as the context lasts.
        by_others: Brings a running VM into that state by other means than the provider.
        fails: Makes the hypervisor fail at what that method asks it for, for as long as the context
            lasts: at the first thing, or as late as possible if the second argument is true.
        busy: Makes it busy once, the next time that method is called in the context.
        patience: Seconds within which a call then has to end: the provider's own bound.
        read_disk: The bytes and the mode of a file in the disk of the VM of that UUID, which is
            off, read by other means than the provider.
        read_media: The images in the drives of the VM of that UUID, in the drives' order, read by
            other means than the provider.
        leftovers: Lists everything in the hypervisor, by other means than the provider: volumes,
            media, domains, reservations. It must be the same before and after each test. What
            ``inspect`` and ``list_templates`` see is compared when it is left out.
    """

    provider: Provider
    template: Template
    image: Path | None = None
    interfaces: tuple[Interface, ...] = field(default=(Interface(),))
    store_id: str = "ims-conformance-suite"
    memory: int = 0
    settings: Mapping[str, Any] | None = None
    unreachable: Mapping[str, Any] | None = None
    static_address: str = ""
    expect_start: bool = True
    boots: bool = False
    boot_timeout: float = 60.0
    suspends_at_once: bool = True
    evidence_at_once: bool = True
    make_foreign: Callable[[str], Callable[[], object]] | None = None
    break_vm: Callable[[str], Callable[[], object]] | None = None
    copy_vm: Callable[[str], Callable[[], object]] | None = None
    lab: str = ""
    requests: Callable[[], int] | None = None
    freeze: Callable[[], AbstractContextManager[object]] | None = None
    deafen: Callable[[], AbstractContextManager[object]] | None = None
    by_others: Mapping[State, Callable[[str], object]] = field(default_factory=dict)
    fails: Callable[[str, bool], AbstractContextManager[object]] | None = None
    busy: Callable[[str], AbstractContextManager[object]] | None = None
    patience: float = 60.0
    read_disk: Callable[[str, str], tuple[bytes, int]] | None = None
    read_media: Callable[[str], Sequence[bytes]] | None = None
    leftovers: Callable[[], AbstractSet[str]] | None = None
