"""The SSH connection is cut at every remote step; after recovery nothing is left in the dom0."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Ims
from ims_core.errors import UnavailableError
from ims_shell.ssh import SshShell
from tests.shell.proxy import Proxy
from tests.xen.conftest import TEMPLATE, leftovers, write_config
from tests.xen.cutting import MOMENTS, Cutter, scripts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_shell.shell import Answer
    from tests.labs.xen import Machine
    from tests.xen.conftest import Lab

pytestmark = pytest.mark.lab_xen

# In this order, of a create that only defines its VM, and of the start that follows.
STEPS = ("templates", "survey", "identity", "create", "look", "put")


@pytest.fixture
def proxy(xen_lab: Machine) -> Iterator[Proxy]:
    with Proxy(xen_lab.port) as running:
        yield running


@pytest.fixture
def cut_lab(
    lab: Lab, proxy: Proxy, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Cutter]:
    """Have the line cut at a step; the pool goes through the proxy."""
    known = own_state / "known_hosts"
    key = lab.dom0.known_hosts.read_text().split(" ", 1)[1]
    known.write_text(f"[127.0.0.1]:{proxy.port} {key}")
    write_config(own_state, lab.dom0, port=proxy.port, known_hosts=str(known))
    real = SshShell.run

    def at(step: str, moment: str) -> Cutter:
        cutter = Cutter(proxy, lab.dom0, scripts_of("ims_xen"), step, moment)

        def run(self: SshShell, script: str, *arguments: str, **options: Any) -> Answer:
            return cutter.run(real, self, script, *arguments, **options)

        monkeypatch.setattr(SshShell, "run", run)
        return cutter

    return at


# The others are in make test-full, for the time that each takes; in make test the same steps are
# cut beside a pretended Xen (test_cut_short.py).
CASES = [
    pytest.param(
        *(step, moment), marks=() if (step, moment) == ("create", "at-work") else pytest.mark.full
    )
    for step in STEPS
    for moment in MOMENTS
]


@pytest.mark.parametrize(("step", "moment"), CASES)
def test_a_create_whose_connection_is_cut_leaves_nothing_or_a_vm(
    lab: Lab, cut_lab: Callable[[str, str], Cutter], step: str, moment: str
) -> None:
    create_and_cut(lab, cut_lab(step, moment), "defined")


@pytest.mark.parametrize(
    "moment",
    [pytest.param(each, marks=() if each == "at-work" else pytest.mark.full) for each in MOMENTS],
)
def test_a_start_whose_connection_is_cut_leaves_nothing_or_a_vm(
    lab: Lab, cut_lab: Callable[[str, str], Cutter], moment: str
) -> None:
    create_and_cut(lab, cut_lab("start", moment), "running")


def create_and_cut(lab: Lab, cutter: Cutter, wait: str) -> None:
    before = leftovers(lab.dom0)
    with Ims() as ims:
        made = None
        with suppress(UnavailableError):
            made = ims.create_vm("cut01", memory=128 << 20, wait=wait, timeout=300)
    assert cutter.done, f"{cutter.step} is no step: {cutter.seen}"
    with Ims() as ims:  # as another process: it ends what was left unfinished
        ims.recover()
        assert ims.list_operations(unfinished=True) == []
        assert [vm.name for vm in ims.list_vms()] == (["cut01"] if made else [])
        if made:
            ims.delete_vm("cut01")
    assert leftovers(lab.dom0) == before


def test_an_upload_that_is_cut_leaves_nothing(
    lab: Lab, proxy: Proxy, cut_lab: Callable[[str, str], Cutter], tiny_image: Path
) -> None:
    cut_lab("none", "before")
    before = leftovers(lab.dom0)
    proxy.cut_after(3 << 20, "to-server")
    raw = str(tiny_image.parent / "tiny.raw")
    with Ims() as ims:
        with pytest.raises(UnavailableError):
            ims.import_template(raw, "cut-short", layout="bootparams")
        assert [each.name for each in ims.list_templates()] == [TEMPLATE]
        ims.recover()
    assert leftovers(lab.dom0) == before
