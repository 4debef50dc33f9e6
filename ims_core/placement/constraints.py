"""What a VM's place must satisfy, before any preference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, InvalidError
from ims_core.spi import OPTIONAL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ims_core.placement.model import Candidate

    Place = tuple[str, str]

__all__ = ["Constraints", "allowed"]


@dataclass(frozen=True, slots=True)
class Constraints:
    """Where a VM may be placed; what is empty constrains nothing.

    Attributes:
        pools: Only in these.
        hosts: Only on these.
        not_with: Names of VMs on whose hosts it must not be.
        features: Optional features that the pool's provider must have, each a word of
            :data:`ims_core.spi.OPTIONAL`.
    """

    pools: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


def allowed(
    candidates: Sequence[Candidate],
    constraints: Constraints,
    where: Mapping[str, Collection[Place]],
    features: Mapping[str, Collection[str]],
) -> list[Candidate]:
    """The candidates that satisfy every constraint, in their order.

    Args:
        candidates: All hosts that there are.
        constraints: What is asked for.
        where: The (pool, host) of each VM, by name; a name may be that of a VM in several pools,
            and a VM that is nowhere is with nobody. Where the host is hidden it is empty, as in a
            candidate, so that "not with" then means "not in the same pool".
        features: The optional features of each pool's provider.

    Raises:
        InvalidError: ``feature-not-found``: a feature that no provider can have.
        ConflictError: ``no-placement``: nothing is left; the details say of each why not.
    """
    _require_known(constraints.features)
    reasons = {each: tuple(_reasons(each, constraints, where, features)) for each in candidates}
    found = [each for each in candidates if not reasons[each]]
    if found:
        return found
    raise ConflictError(
        "there is no host that the VM may be placed on",
        code="no-placement",
        hint="ask for less, or add a pool" if candidates else "add a pool: `ims create-pool`",
        details=tuple(f"{_named(each)}: {'; '.join(why)}" for each, why in reasons.items()),
    )


def _reasons(
    candidate: Candidate,
    constraints: Constraints,
    where: Mapping[str, Collection[Place]],
    features: Mapping[str, Collection[str]],
) -> Iterator[str]:
    """Why a candidate is rejected; nothing if it is not."""
    if constraints.pools and candidate.pool not in constraints.pools:
        yield f"the pool is not {_any_of(constraints.pools)}"
    if constraints.hosts and candidate.host not in constraints.hosts:
        yield f"the host is not {_any_of(constraints.hosts)}"
    for name in constraints.not_with:
        if (candidate.pool, candidate.host) in where.get(name, ()):
            yield f"VM {name!r} is there"
    for feature in constraints.features:
        if feature not in features.get(candidate.pool, ()):
            yield f"its provider has no feature {feature!r}"


def _require_known(features: Collection[str]) -> None:
    for feature in features:
        if feature not in OPTIONAL:
            raise InvalidError(
                f"there is no feature {feature!r}",
                code="feature-not-found",
                hint=f"known: {', '.join(sorted(OPTIONAL))}",
            )


def _named(candidate: Candidate) -> str:
    host = f", host {candidate.host}" if candidate.host else ""
    return f"pool {candidate.pool}{host}"


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(names)
