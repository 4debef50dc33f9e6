"""ServerPoolService: pools and servers, and how much they have left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs.ovm.store import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.labs.ovm.agent import Agent, Host
    from tests.labs.ovm.store import Pool, Server, Store
    from tests.labs.ovm.wire import Given, Result

__all__ = ["ServerPools"]


class ServerPools:
    """The pools of one Manager; all their servers are its one dom0.

    Attributes:
        operations: By name, what answers a request.
    """

    def __init__(self, store: Store, agent: Agent) -> None:
        """Nothing is done yet."""
        self._store, self._agent = store, agent
        self.operations: Mapping[str, Callable[[str, Given], Result]] = {
            "getAllServerPools": self._all,
            "getServerPoolByName": self._by_name,
            "getServerPoolMetricsByServerPoolId": self._pool_metrics,
            "getVirtualServerByServerPool": self._servers,
            "getVirtualServerMetrics": self._server_metrics,
            "getMasterServer": self._master,
        }

    def _all(self, _: str, __: Given) -> Result:
        return [_pool_view(pool) for pool in self._store.pools()]

    def _by_name(self, _: str, given: Given) -> Result:
        return _pool_view(self._store.pool(given.text("poolName")))

    def _servers(self, _: str, given: Given) -> Result:
        pool = self._pool(given.number("serverPoolID"))
        host = self._agent.host()
        return [_server_view(server, pool, host) for server in self._of(pool)]

    def _master(self, _: str, given: Given) -> Result:
        pool = self._store.pool(given.child("serverPool").text("serverPoolName"))
        servers = self._of(pool)
        if not servers:
            raise RefusedError(f"server pool {pool.name} has no server")
        return _server_view(servers[0], pool, self._agent.host())

    def _pool_metrics(self, _: str, given: Given) -> Result:
        pool = self._pool(given.number("serverPoolId"))
        count, host = len(self._of(pool)), self._agent.host()
        return {
            "freeDiskSpace": count * host.disk_free,
            "totalNumOfCpus": count * host.cpus,
            "freeMemory": count * host.memory_free,
            "allocatedVCpu": self._allocated(pool),
            "totalMemory": count * host.memory,
            "totalNumOfChips": count,
            "totalCPUSpeedMHZ": 0,
            "serverPoolName": pool.name,
        }

    def _server_metrics(self, _: str, given: Given) -> Result:
        wanted = given.numbers("virtualServerIDList")
        host = self._agent.host()
        return [
            {
                "freeDiskSpace": host.disk_free,
                "virtualServerID": server.id,
                "cpuSpeedMHZ": 0,
                "freeMemory": host.memory_free,
                "allocatedVCpu": self._allocated(self._pool(server.pool)),
                "totalMemory": host.memory,
                "numOfPhysicalCPU": host.cpus,
                "virtualServerName": server.name,
                "cpuUtil": None,
            }
            for server in self._store.servers()
            if server.id in wanted
        ]

    def _allocated(self, pool: Pool) -> int:
        return sum(vm.cpus for vm in self._store.vms(pool) if vm.status == "RUNNING")

    def _pool(self, number: int) -> Pool:
        found = [pool for pool in self._store.pools() if pool.id == number]
        if not found:
            raise RefusedError(f"server pool {number} does not exist")
        return found[0]

    def _of(self, pool: Pool) -> list[Server]:
        return [server for server in self._store.servers() if server.pool == pool.id]


def _pool_view(pool: Pool) -> Result:
    return {
        "haEnable": False,
        "description": None,
        "status": "Active",
        "serverPoolId": pool.id,
        "serverPoolName": pool.name,
    }


def _server_view(server: Server, pool: Pool, host: Host) -> Result:
    """A VirtualServer, its fields in the schema's order."""
    return {
        "comments": None,
        "platform": None,
        "memAmount": host.memory,
        "supportHVM": "no",
        "serverType": "MASTER",
        "loginUsername": None,
        "status": "Active",
        "serverTypeDisplay": "Server Pool Master",
        "memFree": host.memory_free,
        "serverId": server.id,
        "vmList": None,
        "serverPool": _pool_view(pool),
        "architecture": "x86_64",
        "hdAmount": host.disk,
        "loginPassword": None,
        "agentPwd": None,
        "serverName": server.name,
        "location": None,
        "ip": server.ip,
        "cpuNum": host.cpus,
        "hdFree": host.disk_free,
    }
