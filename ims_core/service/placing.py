"""Creating a VM somewhere among several hosts: the best first, and the next if that one is full.

What fails retryably is undone where it was tried. What is permanent is not tried elsewhere.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, DeadlineError, ImsError
from ims_core.placement import Candidate, Constraints, Demand, allowed
from ims_core.registry import placement
from ims_core.service.create import create_new
from ims_core.service.events import Event, Phase
from ims_core.service.operations import Kind
from ims_core.service.order import DEFAULT_MEMORY
from ims_core.service.requests import made_before
from ims_core.spi import OPTIONAL
from ims_core.store import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ims_core.models import VM
    from ims_core.service.order import Order
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_core.store import Store

__all__ = ["Choice", "create_somewhere", "ranked"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Among which pools, by which strategy and under which constraints a VM is placed."""

    pools: tuple[str, ...]
    strategy: str
    constraints: Constraints


def create_somewhere(
    store: Store,
    session_of: Callable[[str], Session],
    choice: Choice,
    order: Order,
    deadline: Deadline,
) -> VM:
    """Make a VM at the best place that can take it.

    Args:
        store: Where those who choose at the same time wait for one another.
        session_of: Opens a pool by its name.
        choice: The places.
        order: The VM.
        deadline: For all of it.

    Raises:
        ConflictError: ``no-placement``.
        ImsError: What failed at the last place, with what failed at the others in its details.
    """
    tried: dict[Candidate, ImsError] = {}
    while True:
        # Before anybody waits for his turn: the same request may be at work for long.
        if order.request and (made := _made_before(store, session_of, choice, order, deadline)):
            return made
        with ExitStack() as choosing:
            # Whoever chooses must see what others have chosen: a recorded VM counts.
            _wait_for_turn(choosing, store, deadline)
            found = ranked(session_of, choice, order)
            places = [each for each in found if not any(_same(each[1], one) for one in tried)]
            if not places:
                raise _last(tried)
            session, place = places[0]
            try:
                there = replace(order, host=place.host)
                return create_new(session, there, deadline, begun=choosing.close)
            except ImsError as error:
                if error.code == "request-known":  # by somebody who was quicker
                    continue
                tried[place] = error
                if not error.retryable or deadline.expired:
                    raise _last(tried) from error.__cause__
                told = f"{_named(place)}: {error.message}; trying elsewhere"
                session.report(Event(Phase.ROLL_BACK, told, warning=True))


def ranked(
    session_of: Callable[[str], Session], choice: Choice, order: Order
) -> list[tuple[Session, Candidate]]:
    """The places where a VM may be made, the best first.

    A pool that cannot be reached is no place, unless it is the last that is left.

    Raises:
        ConflictError: ``no-placement``.
    """
    surveys = _surveyed(session_of, choice)
    candidates = [each for survey in surveys.values() for each in survey.candidates]
    where: dict[str, list[tuple[str, str]]] = {}
    for survey in surveys.values():
        for vm, place in survey.places:
            where.setdefault(vm, []).append(place)
    features = {name: tuple(_features(survey.session)) for name, survey in surveys.items()}
    free = allowed(candidates, choice.constraints, where, features)
    turn = sum(each.vms for each in candidates)
    demand = Demand(order.memory or DEFAULT_MEMORY, order.vcpus, turn)
    best = placement(choice.strategy).rank(free, demand)
    return [(surveys[each.pool].session, each) for each in best]


@dataclass(frozen=True, slots=True)
class _Survey:
    """A pool as it is now: its hosts, and where each of its VMs is."""

    session: Session
    candidates: list[Candidate]
    places: list[tuple[str, tuple[str, str]]]


def _surveyed(session_of: Callable[[str], Session], choice: Choice) -> dict[str, _Survey]:
    surveys: dict[str, _Survey] = {}
    error: ImsError | None = None
    for name in choice.pools:
        try:
            surveys[name] = _survey(session_of(name))
        except ImsError as problem:
            if not problem.retryable:
                raise
            error = problem
    if error is not None and not surveys:
        raise error
    return surveys


def _survey(session: Session) -> _Survey:
    pool = session.pool.name
    hosts = session.provider.hosts()
    vms = session.provider.inspect(known=session.store.marks(pool))
    only = hosts[0].name if len(hosts) == 1 else ""
    places = [(vm.name, (pool, vm.host or only)) for vm in vms]
    number = Counter(host for _, (_, host) in places)
    number[only] += _coming(session, {vm.uuid for vm in vms})
    if session.provider.features.chooses_host and hosts:
        # It fits into the pool if it fits into one of them.
        best = max(hosts, key=lambda each: each.memory_free or each.memory)
        whole = Candidate(pool, "", number.total(), best.memory, best.memory_free, best.cpus)
        return _Survey(session, [whole], places)
    candidates = [
        Candidate(pool, each.name, number[each.name], each.memory, each.memory_free, each.cpus)
        for each in hosts
    ]
    return _Survey(session, candidates or [Candidate(pool, "", number[""])], places)


def _made_before(
    store: Store,
    session_of: Callable[[str], Session],
    choice: Choice,
    order: Order,
    deadline: Deadline,
) -> VM | None:
    """The VM that this request has made, wherever it was placed."""
    known = store.operation(order.request)
    if known is None:
        return None
    pool = known.pool if known.pool in choice.pools else choice.pools[0]
    return made_before(session_of(pool), order, deadline)


def _coming(session: Session, present: set[str]) -> int:
    """How many VMs are being made in a pool that are not seen there yet."""
    return sum(
        each.kind in (Kind.CREATE, Kind.CLONE)
        and each.outcome is Outcome.RUNNING
        and each.vm not in present
        for each in session.store.operations(session.pool.name, unfinished=True)
    )


def _features(session: Session) -> Iterator[str]:
    for word, protocol in OPTIONAL.items():
        if isinstance(session.provider, protocol):
            yield word


def _wait_for_turn(choosing: ExitStack, store: Store, deadline: Deadline) -> None:
    try:
        choosing.enter_context(store.lock("placement", seconds=deadline.left))
    except TimeoutError:
        raise DeadlineError(
            "others were choosing a host all that time", hint="give it more time with --timeout"
        ) from None


def _last(tried: dict[Candidate, ImsError]) -> ImsError:
    """The last failure, with those before in its details."""
    if not tried:
        return ConflictError("there is no host that the VM may be placed on", code="no-placement")
    *before, (_, error) = tried.items()
    error.details += tuple(f"{_named(place)}: {each.message}" for place, each in before)
    return error


def _same(one: Candidate, other: Candidate) -> bool:
    return (one.pool, one.host) == (other.pool, other.host)


def _named(place: Candidate) -> str:
    return f"pool {place.pool}, host {place.host}" if place.host else f"pool {place.pool}"
