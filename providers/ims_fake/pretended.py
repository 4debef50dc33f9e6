"""Guests that are only described: each reads its medium at start, in this process, and answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ims_fake import guest
from ims_fake.domain import OFF
from ims_fake.guests import Guests

if TYPE_CHECKING:
    from ims_fake.directory import Directory
    from ims_fake.domain import Domain
    from ims_fake.guests import Answer

__all__ = ["Pretended"]

_LONGEST_PAUSE = 0.05


class Pretended(Guests):
    """They do at once what the settings say."""

    def __init__(
        self, directory: Directory, *, receipts: str, obedient: bool, delay: float
    ) -> None:
        """Keep what they are to do.

        Args:
            directory: Where another process may take their power away.
            receipts: The setting of that name.
            obedient: Whether they stop when they are asked to.
            delay: Seconds that this takes them.
        """
        self._directory = directory
        self._receipts = receipts
        self._obedient = obedient
        self._delay = delay

    def boot(self, domain: Domain, seed: bytes) -> Answer:
        """See Guests."""
        return guest.boot(domain.name, seed, domain.carrier, self._receipts, domain.leases)

    def tell(self, domain: Domain, seed: bytes) -> Answer:
        """See Guests."""
        return self.boot(domain, seed)

    def ask(self, domain: Domain, timeout: float) -> bool:
        """See Guests; the one that does not obey may be forced by another process."""
        if self._obedient and self._delay <= timeout:
            return True
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_LONGEST_PAUSE, left))
            found = self._directory.domain(domain.uuid)
            if found is None or found.state in OFF:
                return True
        return False
