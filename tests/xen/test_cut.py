"""The SSH connection is cut at every remote step; after recovery nothing is left in the dom0.

A proxy that the test controls stands between. Three moments of a step: before it is asked for,
while its script is at work (which goes on in the dom0, and sees the undo come), and after its work
was done but before its answer arrived.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ims_core import Ims
from ims_core.errors import UnavailableError
from ims_dom0.ssh import SshShell
from tests.dom0.proxy import Proxy
from tests.xen.conftest import TEMPLATE, leftovers, write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_dom0.shell import Answer
    from tests.labs.xen import Machine
    from tests.xen.conftest import Lab

pytestmark = pytest.mark.lab_xen

MOMENTS = ("before", "at-work", "unanswered")
# In this order, of a create that only defines its VM, and of the start that follows.
STEPS = ("templates", "survey", "identity", "create", "look", "put")


@dataclass
class Cutter:
    """Cuts the line at a certain call of a certain script, once."""

    proxy: Proxy
    dom0: Machine
    step: str
    moment: str
    done: bool = False
    seen: list[str] = field(default_factory=list)

    def run(
        self,
        real: Callable[..., Answer],
        shell: SshShell,
        script: str,
        *arguments: str,
        **options: Any,
    ) -> Answer:
        name = step_of(script)
        self.seen.append(name)
        if self.done or name != self.step:
            return real(shell, script, *arguments, **options)
        self.done = True
        if self.moment == "before":
            self.proxy.cut()
            return real(shell, script, *arguments, **options)
        if self.moment == "unanswered":
            real(shell, script, *arguments, **options)
            self.proxy.cut()
            raise UnavailableError("the connection was lost", code="connection-lost")
        return self._while_at_work(real, shell, script, *arguments, **options)

    def _while_at_work(
        self,
        real: Callable[..., Answer],
        shell: SshShell,
        script: str,
        *arguments: str,
        **options: Any,
    ) -> Answer:
        """The script says when it has begun, and goes on once the line is cut."""
        flag = f"/tmp/ims-cut-{uuid4().hex}"
        waits = (
            f"mkfifo {flag} {flag}.on; echo >{flag}; read -r _ <{flag}.on; rm {flag} {flag}.on\n"
        )

        def cut() -> None:
            self.dom0.run(f"until [ -p {flag} ]; do sleep 0.1; done; timeout 60 cat {flag}")
            self.proxy.cut()
            self.dom0.run(f"timeout 60 sh -c 'echo >{flag}.on'")

        thread = threading.Thread(target=cut)
        thread.start()
        try:
            return real(shell, f"{waits}{script}", *arguments, **options)
        finally:
            thread.join()


def step_of(script: str) -> str:
    """The script's own name stands before the colon of its first comment."""
    lines = [line[2:] for line in script.splitlines() if line.startswith("# ") and ":" in line]
    words = [line.partition(":")[0] for line in lines]
    return next(word for word in reversed(words) if word.isidentifier() and word in ALL)


ALL = (*STEPS, "start", "stop", "delete", "discard", "publish", "import", "update", "room")


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
        cutter = Cutter(proxy, lab.dom0, step, moment)

        def run(self: SshShell, script: str, *arguments: str, **options: Any) -> Answer:
            return cutter.run(real, self, script, *arguments, **options)

        monkeypatch.setattr(SshShell, "run", run)
        return cutter

    return at


# The others are in make test-full: a step that only looks is done again, whenever it was cut.
CHANGING = {("create", each) for each in MOMENTS} | {("put", each) for each in MOMENTS}
CASES = [
    pytest.param(
        *(step, moment),
        marks=() if moment == "at-work" or (step, moment) in CHANGING else pytest.mark.full,
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
