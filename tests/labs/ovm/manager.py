"""The simulated Oracle VM Manager, without its HTTP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.labs import LabError
from tests.labs.ovm.faults import Faults, Hooks, RequestLog
from tests.labs.ovm.jobs import Jobs
from tests.labs.ovm.server_pools import ServerPools
from tests.labs.ovm.store import RefusedError, Store
from tests.labs.ovm.templates import Templates
from tests.labs.ovm.virtual_machines import VirtualMachines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.labs.ovm.agent import Agent
    from tests.labs.ovm.wire import Request, Result

__all__ = ["Authentication", "Manager"]


@dataclass(frozen=True, slots=True)
class Authentication:
    """Whom the Manager answers: by HTTP Basic, by a WS-Security UsernameToken, or everybody."""

    kind: Literal["basic", "wsse", "none"] = "none"
    user: str = "admin"
    password: str = "manager-secret"  # noqa: S105 - of a thing that only pretends


class Manager:
    """A Manager with one dom0.

    Attributes:
        authentication: Whom it answers.
        faults: What goes wrong on demand.
        hooks: Calls at exact moments.
        requests: What it was asked.
        store: What it remembers.
        jobs: What goes on after its answers.
        die: Has it die at once, in a hook as well; its server replaces this by more.
    """

    def __init__(
        self,
        directory: Path,
        agent: Agent,
        *,
        pool: str = "pool",
        server: tuple[str, str] = ("dom0", "10.0.2.15"),
        bridge: str = "xenbr0",
        authentication: Authentication | None = None,
    ) -> None:
        """Begin, or go on with what another has left in the directory.

        Args:
            directory: Where it keeps its memory.
            agent: What acts in the dom0; its directories are made.
            pool: The name of the server pool.
            server: The dom0's name and address.
            bridge: For cards that are ordered without one.
            authentication: Whom it answers; everybody unless told.
        """
        self.authentication = authentication or Authentication()
        self.faults, self.hooks, self.requests = Faults(), Hooks(), RequestLog()
        self.store = Store(directory / "manager.db")
        self.store.add_pool(pool, *server)
        self.jobs = Jobs(self.faults, self.hooks)
        self.die: Callable[[], object] = self.jobs.kill
        agent.prepare()
        vms = VirtualMachines(self.store, agent, self.jobs, bridge)
        templates = Templates(self.store, agent, self.jobs)
        self._operations = {
            **ServerPools(self.store, agent).operations,
            **vms.operations,
            **templates.operations,
        }
        vms.recover()
        templates.recover()

    def call(self, request: Request) -> Result:
        """Answer a request.

        Raises:
            RefusedError: It is refused.
            LabError: The dom0 failed, or the Manager died.
        """
        operation = self._operations.get(request.operation)
        if operation is None:
            raise RefusedError(f"{request.operation} is not simulated")
        self.hooks.reached("before", request.operation)
        if self.jobs.killed:
            raise LabError("the Manager is dead")
        result = operation(request.operation, request.given)
        self.hooks.reached("after", request.operation)
        return result

    def close(self) -> None:
        """End at once, with jobs left where they are, as a process does that is killed."""
        self.jobs.kill()
        self.jobs.wait()
        self.store.close()
