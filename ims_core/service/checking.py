"""``check``: what is wrong with a pool, and mending what can be mended without a question.

A VM whose mark says that it is complete is never removed, whatever the store says, nor is what
carries the mark of another store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import ImsError
from ims_core.models import Finding
from ims_core.service.addresses import held_by, promises_of, stale
from ims_core.service.adoption import remember
from ims_core.service.recovery import recover
from ims_core.store import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ims_core.models import VM, Mark
    from ims_core.service.session import Session
    from ims_core.store import Intent

__all__ = ["check"]


@dataclass(frozen=True, slots=True)
class _Found:
    """A finding, and how to mend it if that needs no decision; false: it could not be."""

    finding: Finding
    mend: Callable[[], bool] | None = None


_FIRST = "mend the rest first"


def check(session: Session, *, fix: bool) -> list[Finding]:
    """What is wrong, the good findings included; with ``fix``, mended where that is possible."""
    found = [_Found(finding) for finding in session.provider.check()]
    found += _operations(session)
    # What the store knows is read first: a VM that is made meanwhile is not missed afterwards.
    intents = session.store.intents(session.pool.name)
    operations = session.store.operations(session.pool.name)
    busy = {each.vm for each in operations if not each.is_settled}
    try:
        vms = session.provider.inspect()
    except ImsError as error:  # what was found until here tells why, and must not be lost
        unseen = Finding("VMs", f"they cannot be looked at: {error.message}", error.hint or _FIRST)
        return [each.finding for each in found] + [unseen]
    found += _vms(session, vms, {each.uuid for each in intents}, busy)
    present = {vm.uuid for vm in vms}
    gone = [each for each in intents if each.uuid not in present and each.uuid not in busy]
    found += [_lost(session, intent) for intent in gone]
    found += _promised_to_nobody(session, {each.uuid for each in intents})
    return [_mended(each) if fix else each.finding for each in found]


def _mended(found: _Found) -> Finding:
    if found.mend is None:
        return found.finding
    try:
        mended = found.mend()
    except ImsError as error:
        return replace(found.finding, message=f"{found.finding.message}; not mended: {error}")
    if not mended:
        return found.finding
    return replace(found.finding, message=f"{found.finding.message}; mended", ok=True)


def _operations(session: Session) -> Iterator[_Found]:
    """Operations that nobody is at work on any more."""
    for each in session.store.operations(session.pool.name):
        kept = each.outcome is Outcome.KEPT
        if each.is_settled or _is_running(session, each.id):
            continue
        state = "failed, and its pieces were kept" if kept else "was cut short"
        finding = Finding(
            f"operation {each.id}",
            f"{each.kind} {each.subject} {state}",
            f"ims recover --pool {session.pool.name} {each.id}",
            ok=kept,
        )
        yield _Found(finding, None if kept else _recovery(session, each.id))


def _recovery(session: Session, operation: str) -> Callable[[], bool]:
    def mend() -> bool:
        ended = recover(session, [operation])
        return all(each.operation.outcome is not Outcome.UNFINISHED for each in ended)

    return mend


def _is_running(session: Session, operation: str) -> bool:
    with suppress(TimeoutError), session.store.lock(operation, seconds=0):
        return False
    return True


def _vms(session: Session, vms: Sequence[VM], known: set[str], busy: set[str]) -> Iterator[_Found]:
    pool = session.pool.name
    for vm in vms:
        mark, subject = vm.mark, f"VM {vm.name}"
        if mark is None or vm.uuid in busy:
            continue
        if mark.store != session.store.id:
            yield _Found(
                Finding(
                    subject,
                    f"another store ({mark.store}) made it;"
                    f" `ims adopt-vm --pool {pool} {vm.name}` takes it over",
                    ok=True,
                )
            )
        elif not mark.complete:
            yield _Found(
                Finding(
                    subject,
                    "it is not complete, and no operation that made it is recorded",
                    f"ims delete-vm --pool {pool} {vm.name}",
                )
            )
        elif vm.uuid not in known and mark.operation and not _is_remembered(session, vm.uuid, mark):
            yield _Found(
                Finding(
                    subject,
                    "this store does not know its addresses",
                    f"ims check --fix --pool {pool}",
                ),
                _remembering(session, vm.uuid, mark),
            )
        if vm.problem:
            yield _Found(Finding(subject, vm.problem, f"ims delete-vm --pool {pool} {vm.name}"))


def _is_remembered(session: Session, vm: str, mark: Mark) -> bool:
    return set(promises_of(session, vm, mark)) <= set(held_by(session, vm))


def _remembering(session: Session, vm: str, mark: Mark) -> Callable[[], bool]:
    def mend() -> bool:
        remember(session, vm, mark)
        return _is_remembered(session, vm, mark)

    return mend


def _lost(session: Session, intent: Intent) -> _Found:
    """A VM that is gone, if this is where it was made; else it may be where it was."""
    made = session.store.operation(intent.mark.operation)
    here = made is not None and made.endpoint == session.provider.identity

    def forget() -> bool:
        with session.hold(intent.uuid, intent.name):
            if not session.provider.inspect([intent.uuid]):
                session.store.forget(intent.uuid)
        return True

    pool = session.pool.name
    finding = Finding(
        f"VM {intent.name}",
        "the store knows it, but the hypervisor does not: it was removed by other means"
        if here
        else f"the store knows it, but {session.provider.identity} does not: it may have been made"
        " elsewhere",
        f"ims check --fix --pool {pool}" if here else f"point pool {pool} to where it was made",
    )
    return _Found(finding, forget if here else None)


def _promised_to_nobody(session: Session, known: set[str]) -> Iterator[_Found]:
    """Addresses of VMs that another store made, and that are gone."""
    for vm in sorted(stale(session) - known):
        addresses = sorted(each.address for each in held_by(session, vm))

        def release(vm: str = vm) -> bool:
            session.store.release([vm])
            return True

        finding = Finding(
            f"address {', '.join(addresses)}",
            f"it is kept for VM {vm}, which is not there any more",
            f"ims check --fix --pool {session.pool.name}",
        )
        yield _Found(finding, release)
