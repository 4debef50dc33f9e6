"""The lab's own orders over HTTP, for a Manager in another process: ``/lab/…``, in JSON."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.labs.ovm.faults import Kind
    from tests.labs.ovm.manager import Manager

__all__ = ["ROOT", "Control", "answer"]

ROOT = "/lab/"

_SECONDS = 30


def answer(manager: Manager, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Obey an order; the status and body of the answer."""
    result: object = None
    match method, path.removeprefix(ROOT):
        case "POST", "faults":
            manager.faults.add(**json.loads(body))
        case "DELETE", "faults":
            manager.faults.clear()
        case "GET", "requests":
            result = manager.requests.all()
        case "DELETE", "requests":
            manager.requests.clear()
        case "POST", "pace":
            manager.jobs.pace.update(json.loads(body))
        case "POST", "many":
            manager.store.add_many(**json.loads(body))
        case _:
            return 404, b"null"
    return 200, json.dumps(result).encode()


@dataclass(frozen=True, slots=True)
class Control:
    """The orders, from the other side.

    Attributes:
        url: The Manager's address, without a path.
    """

    url: str

    def add_fault(
        self, operation: str, kind: Kind, count: int = 1, *, seconds: float = 0.0
    ) -> None:
        """As :meth:`Faults.add`."""
        order = {"operation": operation, "kind": kind, "count": count, "seconds": seconds}
        self._ask("POST", "faults", order)

    def clear_faults(self) -> None:
        """As :meth:`Faults.clear`."""
        self._ask("DELETE", "faults")

    def requests(self) -> list[tuple[str, float]]:
        """As :meth:`RequestLog.all`."""
        return [(operation, time) for operation, time in self._ask("GET", "requests")]

    def clear_requests(self) -> None:
        """As :meth:`RequestLog.clear`."""
        self._ask("DELETE", "requests")

    def pace(self, **seconds: float) -> None:
        """How long the jobs of these operations wait before they act."""
        self._ask("POST", "pace", seconds)

    def add_many(self, count: int, pool: str) -> None:
        """As :meth:`Store.add_many`."""
        self._ask("POST", "many", {"count": count, "pool": pool})

    def _ask(self, method: str, path: str, order: object = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - it is ours
            f"{self.url}{ROOT}{path}", json.dumps(order).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=_SECONDS) as answered:  # noqa: S310
            return json.load(answered)
