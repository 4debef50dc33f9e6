"""The xen provider passes the suite that every provider must, on a real dom0."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ims_core.models import State
from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_shell.ssh import SshShell
from ims_xen import XenProvider
from tests.counting import counted
from tests.xen.conftest import BOOT_SECONDS, DIRECTORY, leftovers, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.labs.xen import Machine

# Under emulation each start takes a quarter of a minute, and there are dozens.
pytestmark = [pytest.mark.lab_xen, pytest.mark.full]

OURS = re.compile(f"file {DIRECTORY}/vms/([^/]*)")
PATIENCE = 180.0
LOGS = "/var/log/xen/console"
FOREIGN = """\
name="{name}"
type="pv"
memory=128
kernel="{directory}/templates/{template}/kernel"
"""


def lasting(found: set[str]) -> set[str]:
    """Without what comes and goes with the power of our VMs: domains, keys, guests' answers.

    What a VM printed before it was adopted stays, as its disks do.
    """
    ours = {match[1] for line in found if (match := OURS.fullmatch(line))}
    passing = {f"{kind} {name}" for kind in ("domain", "xenstore") for name in ours}
    passing |= {f"file {DIRECTORY}/vms/{name}/receipt" for name in ours}
    return {line for line in found - passing if not line.startswith("log guest-ims-foreign-")}


@pytest.fixture
def ims_target(
    xen_lab: Machine, template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    settings = XenProvider.settings()(**settings_of(xen_lab)).model_dump()

    def make_foreign(name: str) -> Callable[[], object]:
        text = FOREIGN.format(name=name, directory=DIRECTORY, template=template)
        xen_lab.run(f"cat >/tmp/{name}.cfg <<'END'\n{text}END\nxl create -q -p /tmp/{name}.cfg")
        return lambda: xen_lab.run(
            f"xl destroy {name} 2>/dev/null; rm -f /tmp/{name}.cfg {LOGS}/guest-{name}.log"
        )

    def break_vm(uuid: str) -> Callable[[], object]:
        xen_lab.run(f"rm $(dirname $(grep -l {uuid} {DIRECTORY}/vms/*/mark.json))/root.raw")
        return lambda: None

    def copy_vm(uuid: str) -> Callable[[], object]:
        folder = f"$(dirname $(grep -l {uuid} {DIRECTORY}/vms/*/mark.json))"
        xen_lab.run(f"cp -a {folder} {DIRECTORY}/vms/a-copy")
        return lambda: xen_lab.run(f"rm -r {DIRECTORY}/vms/a-copy")

    def by_hand(verb: str, uuid: str) -> str:
        number = f"$(xl vm-list | awk '$1 == \"{uuid}\" {{ print $2 }}')"
        return xen_lab.run(f"xl {verb} {number}")

    requests = counted(monkeypatch, ["run"], SshShell)
    version = xen_lab.run("xl info xen_version").strip()
    with XenProvider.open(settings) as provider:
        (found,) = (each for each in provider.list_templates() if each.name == template)
        yield Target(
            provider=provider,
            template=found,
            settings=settings,
            unreachable=settings | {"port": 1},
            boots=True,
            boot_timeout=BOOT_SECONDS,
            make_foreign=make_foreign,
            break_vm=break_vm,
            copy_vm=copy_vm,
            by_others={
                State.STOPPED: partial(by_hand, "destroy"),
                State.PAUSED: partial(by_hand, "pause"),
            },
            suspends_at_once=False,
            lab=f"Xen {version}, a real dom0 in an emulated machine, real PV guests",
            requests=lambda: len(requests),
            freeze=xen_lab.frozen,
            patience=PATIENCE,
            leftovers=lambda: lasting(leftovers(xen_lab)),
        )
