"""The program of the Manager's process: ``python3 -m tests.labs.ovm.serve DIRECTORY PORT``.

The package must not import this module, or Python has it twice when it is run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.labs import LabError, xen
from tests.labs.ovm import AUTHENTICATION, POOL
from tests.labs.ovm.agent import Agent
from tests.labs.ovm.dom0 import Dom0
from tests.labs.ovm.manager import Manager
from tests.labs.ovm.server import Server


def main(directory: Path, port: int) -> None:
    """Serve the Xen lab's dom0 until this process is ended."""
    machine = xen.lab()
    if machine is None:
        raise LabError("the Xen lab does not run")
    manager = Manager(
        directory,
        Agent(Dom0(tuple(machine.ssh))),
        pool=POOL,
        server=("dom0", xen.ADDRESS),
        bridge=xen.BRIDGE,
        authentication=AUTHENTICATION,
    )
    Server(manager, port, die=lambda: os._exit(1)).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
