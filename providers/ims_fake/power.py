"""Starting and stopping, holding and putting aside, and telling what runs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, DeadlineError, HypervisorError, NotFoundError
from ims_fake.domain import OFF, PAUSED, SUSPENDED
from ims_fake.guests import Answer
from ims_fake.looking import problem_of
from ims_fake.machines import check_carrier, seed_bytes
from ims_fake.network import holders
from ims_fake.refusals import (
    not_running,
    refuse_off,
    refuse_on,
    refuse_running,
    refuse_suspended,
)

if TYPE_CHECKING:
    from ims_core.models import Delivery
    from ims_fake.domain import Domain
    from ims_fake.machines import Machines
    from ims_fake.network import Network
    from ims_fake.pace import Pace
    from ims_fake.vms import VMs

__all__ = ["Power"]


class Power:
    """The power of one pool's VMs."""

    def __init__(self, vms: VMs, network: Network, machines: Machines, pace: Pace) -> None:
        """Keep the parts."""
        self._vms = vms
        self._directory = vms.directory
        self._guests = vms.guests
        self._network = network
        self._machines = machines
        self._pace = pace

    def start(self, vm: str, delivery: Delivery | None) -> None:
        """Put the delivery in place, then have the guest boot."""
        self._pace.step("start.seed")
        domain = self._vms.change(vm, lambda found: self._leased(self._delivered(found, delivery)))
        self._pace.step("start")
        self._refuse_broken(domain, "start")
        answer = self._guests.boot(domain, self._seed(domain))
        try:
            self._vms.change(vm, lambda found: _booted(found, domain, answer))
        except NotFoundError:  # it was deleted meanwhile
            self._guests.forget(vm)
            raise

    def stop(self, vm: str, *, force: bool, timeout: float) -> None:
        """Ask the guest, or take its power away."""
        domain = self._vms.existing(vm)
        if domain.state in OFF:
            return
        if not force:
            refuse_suspended(domain)
            if not self._guests.ask(domain, timeout):
                raise DeadlineError(
                    f"VM {vm} did not stop within {timeout:g} s",
                    vm=vm,
                    hint="give it more time, or take its power away with --force",
                )
        self._pace.step("stop")
        self._guests.end(domain, "off")
        self._vms.change(vm, _powered_off)
        self._machines.forget_memory(vm)

    def suspend(self, vm: str) -> None:
        """Save what stands for its memory, and take its power away."""
        domain = self._vms.existing(vm)
        if domain.state == SUSPENDED:
            return
        refuse_off(domain)
        self._machines.save_memory(domain)
        try:
            self._pace.step("suspend")
            self._guests.end(domain, SUSPENDED)
            self._vms.change(vm, _put_aside)
        except BaseException:
            self._machines.forget_memory(vm)
            raise

    def resume(self, vm: str) -> None:
        """Let it go on; what was saved goes last, so that this can be done again."""
        self._pace.step("resume")
        domain = self._vms.existing(vm)
        self._going_on(domain)
        self._guests.go_on(domain, self._seed(domain))
        self._vms.change(vm, self._going_on)
        self._machines.forget_memory(vm)

    def pause(self, vm: str) -> None:
        """Hold its CPUs."""
        self._pace.step("pause")
        domain = self._vms.existing(vm)
        _held(domain)
        self._guests.hold(domain)
        self._vms.change(vm, _held)

    def tell(self, vm: str, delivery: Delivery) -> None:
        """Put another delivery in place of a running VM's."""
        self._pace.step("update-context")
        self._vms.change(vm, lambda domain: self._told_again(domain, delivery))

    # --- what becomes of a description ---

    def _delivered(self, domain: Domain, delivery: Delivery | None) -> Domain:
        """The VM with this delivery in place."""
        refuse_running(domain)
        mark = domain.mark
        if delivery is None or mark is None or mark.nonce == delivery.nonce:
            return domain
        check_carrier(delivery)
        self._put("seed", domain, seed_bytes(delivery))
        if delivery.overlay:
            self._put("overlay", domain, delivery.overlay)
        return replace(domain, mark=replace(mark, digest=delivery.digest, nonce=delivery.nonce))

    def _put(self, kind: str, domain: Domain, content: bytes) -> None:
        self._directory.write(self._directory.path(kind, getattr(domain, kind)), content)

    def _leased(self, domain: Domain) -> Domain:
        """The VM with an address for each card that asks for one."""
        leases = dict(domain.leases)
        taken = holders(self._directory.domains())
        for card in domain.interfaces:
            if not card.addresses and card.mac not in leases:
                leases[card.mac] = self._network.lease(taken)
                taken[leases[card.mac].partition("/")[0]] = domain.name
        return replace(domain, leases=leases)

    def _told_again(self, domain: Domain, delivery: Delivery) -> Domain:
        """The running VM with this delivery in place, and what its guest made of it."""
        if domain.state in (*OFF, SUSPENDED) or domain.mark is None:
            raise not_running(domain)
        check_carrier(delivery)
        if delivery.overlay:
            self._put("overlay", domain, delivery.overlay)
            answer = Answer()  # none of these guests has a second drive
        else:
            self._put("seed", domain, seed_bytes(delivery))
            answer = self._guests.tell(domain, seed_bytes(delivery))
        return replace(
            domain,
            mark=replace(domain.mark, digest=delivery.digest, nonce=delivery.nonce),
            receipt=answer.receipt or domain.receipt,
            console=domain.console + answer.console[1:],
        )

    def _going_on(self, domain: Domain) -> Domain:
        """The VM running again, with all that its guest did before."""
        if domain.state in OFF:
            raise ConflictError(
                f"VM {domain.name!r} is off, and nothing of it was saved",
                code="vm-not-suspended",
                vm=domain.name,
                hint=f"`ims start-vm {domain.name}`",
            )
        self._refuse_broken(domain, "go on")
        return replace(domain, state="running")

    def _refuse_broken(self, domain: Domain, what: str) -> None:
        if problem := problem_of(self._directory, domain):
            raise HypervisorError(f"VM {domain.name!r} cannot {what}: {problem}", vm=domain.name)

    def _seed(self, domain: Domain) -> bytes:
        if not domain.seed:
            return b""
        return self._directory.read(self._directory.path("seed", domain.seed))


def _booted(domain: Domain, before: Domain, answer: Answer) -> Domain:
    """The VM running, if it is still this start that makes it run."""
    if domain.started != before.started:
        refuse_on(domain)
    return replace(
        domain,
        state="running",
        started=time.time(),
        receipt=answer.receipt or domain.receipt,
        console=answer.console,
    )


def _powered_off(domain: Domain) -> Domain:
    return domain if domain.state in OFF else replace(domain, state="off")


def _held(domain: Domain) -> Domain:
    refuse_off(domain)
    refuse_suspended(domain)
    return replace(domain, state=PAUSED)


def _put_aside(domain: Domain) -> Domain:
    refuse_off(domain)
    return replace(domain, state=SUSPENDED)
