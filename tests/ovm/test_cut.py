"""Import, create and boot interrupted on the lab: faults of SOAP, a cut SSH line, a killed process.

What comes of each is looked for in the dom0 itself. In ``make test`` there is one for each phase:
an import whose line is cut, a create whose process is killed, a boot that the Manager fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Ims
from ims_core.errors import ImsError
from ims_shell.ssh import SshShell
from tests.labs.ovm import template as template_archive
from tests.ovm.lab import TEMPLATE, leftovers, write_config
from tests.shell.proxy import Proxy
from tests.xen.cutting import MOMENTS, Cutter, scripts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_shell.shell import Answer
    from tests.labs.ovm import OvmLab
    from tests.ovm.lab import Lab

pytestmark = pytest.mark.lab_xen

FULL = pytest.mark.full
KINDS = ("fault", "fault-after", "500", "drop", "drop-after", "job-error")
# What a create of a VM that only is defined asks for, what its start does besides, and an import.
CREATES = ("order", "fetch", "claim", "forget")
IMPORTS = ("reserve", "extract", "finish")


def cases(
    names: tuple[str, ...], kinds: tuple[str, ...], quick: tuple[str, str] | None = None
) -> list[Any]:
    """All of them, but for one in ``make test-full`` only."""
    return [
        pytest.param(name, kind, marks=() if (name, kind) == quick else FULL)
        for name in names
        for kind in kinds
    ]


@pytest.fixture(autouse=True)
def no_faults_are_left(ovm_lab: OvmLab) -> Iterator[None]:
    yield
    ovm_lab.manager.control.clear_faults()


@pytest.fixture
def cut_at(
    lab: Lab, ovm_lab: OvmLab, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], Cutter]]:
    """Have the line cut at a step; the pool goes through a proxy."""
    with Proxy(ovm_lab.dom0.port) as proxy:
        known = own_state / "known_hosts"
        key = ovm_lab.dom0.known_hosts.read_text().split(" ", 1)[1]
        known.write_text(f"[127.0.0.1]:{proxy.port} {key}")
        write_config(own_state, ovm_lab, port=proxy.port, known_hosts=str(known))
        real = SshShell.run

        def at(step: str, moment: str) -> Cutter:
            cutter = Cutter(proxy, lab.dom0, scripts_of("ims_ovm"), step, moment)

            def run(self: SshShell, script: str, *arguments: str, **options: Any) -> Answer:
                return cutter.run(real, self, script, *arguments, **options)

            monkeypatch.setattr(SshShell, "run", run)
            return cutter

        yield at


@pytest.mark.parametrize(("step", "moment"), cases((*CREATES, "look"), MOMENTS))
def test_a_create_whose_ssh_is_cut_leaves_nothing_or_a_vm(
    lab: Lab, cut_at: Callable[[str, str], Cutter], step: str, moment: str
) -> None:
    cutter = cut_at(step, moment)
    create_and_recover(lab, "defined")
    assert cutter.done, f"{step} is no step: {cutter.seen}"


@pytest.mark.parametrize(("step", "moment"), cases(IMPORTS, MOMENTS, ("extract", "at-work")))
def test_an_import_whose_ssh_is_cut_leaves_nothing(
    lab: Lab, cut_at: Callable[[str, str], Cutter], step: str, moment: str
) -> None:
    cutter = cut_at(step, moment)
    import_and_recover(lab)
    assert cutter.done, f"{step} is no step: {cutter.seen}"


@pytest.mark.parametrize(
    ("operation", "kind"),
    cases(("createVmBasedOnTemplate",), KINDS),
)
def test_a_create_that_the_manager_fails_leaves_nothing_or_a_vm(
    lab: Lab, ovm_lab: OvmLab, operation: str, kind: Any
) -> None:
    ovm_lab.manager.control.add_fault(operation, kind)
    create_and_recover(lab, "defined")


@pytest.mark.parametrize(
    ("operation", "kind"), cases(("powerOn",), KINDS, ("powerOn", "job-error"))
)
def test_a_boot_that_the_manager_fails_leaves_nothing_or_a_vm(
    lab: Lab, ovm_lab: OvmLab, operation: str, kind: Any
) -> None:
    ovm_lab.manager.control.add_fault(operation, kind)
    create_and_recover(lab, "running")


@pytest.mark.parametrize(
    ("operation", "kind"),
    cases(("importTemplate", "approveTemplate"), KINDS),
)
def test_an_import_that_the_manager_fails_leaves_nothing(
    lab: Lab, ovm_lab: OvmLab, operation: str, kind: Any
) -> None:
    ovm_lab.manager.control.add_fault(operation, kind)
    import_and_recover(lab)


# Each script is asked for once its fellow before has ended, so a process is killed in between.
@pytest.mark.parametrize(
    "operation", [pytest.param("createVmBasedOnTemplate"), pytest.param("powerOn", marks=FULL)]
)
def test_a_create_whose_process_is_killed_leaves_nothing(
    lab: Lab, ovm_lab: OvmLab, operation: str
) -> None:
    before = leftovers(lab.dom0)
    control = ovm_lab.manager.control
    control.clear_requests()
    words = ("create-vm", "cut01", "--memory", "128M", "--wait", "running", "--quiet")
    process = subprocess.Popen([sys.executable, "-m", "ims_cli", *words])
    lab.until(operation, lambda: operation in [name for name, _ in control.requests()], 120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert lab.cli("recover").returncode == 0
    assert lab.json("list-vms") == []
    assert leftovers(lab.dom0) == before


def create_and_recover(lab: Lab, wait: str) -> None:
    before = leftovers(lab.dom0)
    with Ims() as ims:
        made = None
        with suppress(ImsError):
            made = ims.create_vm("cut01", memory=128 << 20, wait=wait, timeout=400)
    with Ims() as ims:  # as another process: it ends what was left unfinished
        ims.recover()
        assert ims.list_operations(unfinished=True) == []
        assert [vm.name for vm in ims.list_vms(include_foreign=True)] == (["cut01"] if made else [])
        if made:
            ims.delete_vm("cut01")
    assert leftovers(lab.dom0) == before


def import_and_recover(lab: Lab) -> None:
    before = leftovers(lab.dom0)
    archive = str(template_archive.build())
    with Ims() as ims:
        made = None
        with suppress(ImsError):
            made = ims.import_template(archive, "cut-short", layout="bootparams")
        ims.recover()
    with Ims() as ims:
        names = [each.name for each in ims.list_templates()]
        assert sorted(names) == sorted([TEMPLATE, *(["cut-short"] if made else [])])
        if made:
            ims.delete_template("cut-short")
        assert ims.list_operations(unfinished=True) == []
    assert leftovers(lab.dom0) == before
