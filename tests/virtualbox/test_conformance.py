"""The virtualbox provider passes the suite that every provider must, with guests that start."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from ims_core.models import State
from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_shell.ssh import SshShell
from ims_virtualbox import VirtualBoxProvider
from tests.counting import counted
from tests.virtualbox.conftest import (
    broken_by_hand,
    copied_by_hand,
    leftovers,
    made_by_hand,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.labs.machine import Machine

# Under emulation each start takes a while, and there are dozens.
PATIENCE = 180.0
pytestmark = [pytest.mark.lab_virtualbox, pytest.mark.full]


@pytest.fixture
def ims_target(
    virtualbox_lab: Machine, template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    settings = VirtualBoxProvider.settings()(**settings_of(virtualbox_lab)).model_dump()
    requests = counted(monkeypatch, ["run"], SshShell)
    version = virtualbox_lab.run("VBoxManage --version").strip()

    def by_hand(verb: str, uuid: str) -> str:
        return virtualbox_lab.run(f"VBoxManage -q controlvm {uuid} {verb}")

    with VirtualBoxProvider.open(settings) as provider:
        found = provider.find_template(template)
        assert found is not None
        yield Target(
            provider=provider,
            template=found,
            settings=settings,
            unreachable=settings | {"port": 1},
            memory=160 << 20,
            static_address="10.0.2.77",
            boots=False,
            lab=f"VirtualBox {version} in an emulated machine, VMs that start",
            requests=lambda: len(requests),
            freeze=virtualbox_lab.frozen,
            patience=PATIENCE,
            make_foreign=lambda name: made_by_hand(virtualbox_lab, name),
            by_others={
                State.STOPPED: partial(by_hand, "poweroff"),
                State.PAUSED: partial(by_hand, "pause"),
            },
            break_vm=lambda uuid: broken_by_hand(virtualbox_lab, uuid),
            copy_vm=lambda uuid: copied_by_hand(virtualbox_lab, uuid),
            leftovers=lambda: lasting(leftovers(virtualbox_lab)),
        )


def lasting(found: set[str]) -> set[str]:
    """Without what comes with the power of a VM: saved memory has a file of its own."""
    passing = (".sav", "console.log", "receipt.log", "console.kept", "receipt.kept")
    return {line for line in found if not line.endswith(passing)}
