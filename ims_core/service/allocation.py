"""Giving addresses to the cards of a new VM, where ``ims.toml`` has a network with a range."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.addressing import capacity, free_addresses, host_address
from ims_core.errors import CapacityError
from ims_core.service.addresses import (
    claim_of,
    fill_in,
    is_taken,
    network_key,
    release_stale,
    remember_unknown,
    reservations,
)
from ims_core.service.macs import chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.config import Network
    from ims_core.models import Interface, VMSpec
    from ims_core.service.session import Session
    from ims_core.store import Reservation

__all__ = ["Allocation"]


class Allocation:
    """The cards of one VM that is to be made, with the addresses it asks for or is given.

    Attributes:
        cards: As they were chosen last.
    """

    def __init__(self, session: Session, draft: VMSpec, asked: Sequence[Interface]) -> None:
        """Nothing is chosen yet.

        Args:
            session: The pool.
            draft: The VM, with the network of each card.
            asked: The cards as the caller gave them.
        """
        self.cards = draft.interfaces
        self._session = session
        self._draft = draft
        self._asked = asked
        self._avoided: set[str] = set()

    @property
    def chooses(self) -> bool:
        """Whether a card is given an address that asks for none."""
        return any(self._network_for(card) for card in self._draft.interfaces)

    def look(self) -> None:
        """Choose as if everything stayed as it is; nothing is reserved."""
        if self.chooses or any(card.addresses for card in self.cards):
            remember_unknown(self._session)
        given = reservations(self._session, self._draft.uuid, self._draft.interfaces)
        if given and is_taken(self._session, given):
            release_stale(self._session)  # if it is still taken, the claim will say so
        if not self.chooses:
            return
        try:
            self._choose(self._session.store.reservations())
        except CapacityError:
            release_stale(self._session)
            self._choose(self._session.store.reservations())

    def claim(self, taken: Sequence[Reservation]) -> Sequence[Reservation]:
        """Choose, and claim what was chosen: see :data:`ims_core.store.Claim`."""
        if self.chooses:
            self._choose(taken)
        wanted = reservations(self._session, self._draft.uuid, self.cards)
        return claim_of(self._session, wanted)(taken)

    def avoid(self) -> None:
        """Do not choose again what was chosen: the hypervisor says that somebody has it."""
        for card, draft in zip(self.cards, self._draft.interfaces, strict=True):
            if card.addresses != draft.addresses:
                self._avoided |= {each.partition("/")[0] for each in card.addresses}

    def _network_for(self, card: Interface) -> Network | None:
        """The network that gives this card an address, if it needs one."""
        network = self._session.config.network(self._session.pool.name, card.network)
        return network if network and network.allocates and not card.addresses else None

    def _choose(self, taken: Sequence[Reservation]) -> None:
        cards: list[Interface] = []
        for index, card in enumerate(self._draft.interfaces):
            if network := self._network_for(card):
                used = self._avoided | self._used(network, taken, [*cards, *self._draft.interfaces])
                card = self._given(card, index, network, used)  # noqa: PLW2901
            cards.append(card)
        self.cards = tuple(cards)

    def _used(
        self, network: Network, taken: Sequence[Reservation], cards: Sequence[Interface]
    ) -> set[str]:
        pool = self._session.pool.name
        used = {
            each.address
            for each in taken
            if network_key(self._session, each.pool, each.network) == network.name
        }
        for card in cards:
            if network_key(self._session, pool, card.network) == network.name:
                used |= {each.partition("/")[0] for each in card.addresses}
        return used

    def _given(self, card: Interface, index: int, network: Network, used: set[str]) -> Interface:
        addresses = []
        for version in network.versions:
            free = next(free_addresses(network, version, used), None)
            if free is None:
                raise CapacityError(
                    f"network {network.name!r} has no IPv{version} address left for"
                    f" {self._draft.name!r}: all {capacity(network, version)} are taken",
                    code="address-pool-exhausted",
                    vm=self._draft.name,
                    pool=self._session.pool.name,
                    hint=f"delete VMs, or widen networks.{network.name}.range in ims.toml",
                )
            addresses.append(host_address(network, free))
        given = fill_in(self._session, replace(card, addresses=tuple(addresses)))
        if not self._session.pool.mac_scheme:
            return given
        mac = self._asked[index].mac if index < len(self._asked) else ""
        scheme = self._session.pool.mac_scheme
        return replace(given, mac=chosen(replace(given, mac=mac), self._draft.uuid, index, scheme))
