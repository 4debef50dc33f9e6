"""The SSH connection is cut at a script; after recovery nothing is left on the host."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Ims
from ims_core.errors import UnavailableError
from ims_shell.ssh import SshShell
from tests.shell.proxy import Proxy
from tests.virtualbox.conftest import write_config
from tests.xen.cutting import MOMENTS, Cutter, scripts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_shell.shell import Answer
    from tests.virtualbox.conftest import Lab

# By the names of scripts, and which call of it that is.
CREATE = (("put", 1), ("register", 1), ("vboxmanage", 7))
DELETE = (("vboxmanage", 1), ("remove", 1))


@pytest.fixture
def proxy(chroot: Lab) -> Iterator[Proxy]:
    with Proxy(chroot.host.port) as running:
        yield running


@pytest.fixture
def cut_lab(
    chroot: Lab, proxy: Proxy, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, int, str], Cutter]:
    """Have the line cut at a call of a script; the pool goes through the proxy."""
    known = own_state / "known_hosts"
    key = chroot.host.known_hosts.read_text().split(" ", 1)[1]
    known.write_text(f"[127.0.0.1]:{proxy.port} {key}")
    write_config(own_state, chroot.host, port=proxy.port, known_hosts=str(known))
    real = SshShell.run

    def at(step: str, number: int, moment: str) -> Cutter:
        cutter = Cutter(proxy, chroot.host, scripts_of("ims_virtualbox"), step, moment)

        def run(self: SshShell, script: str, *arguments: str, **options: Any) -> Answer:
            nonlocal number
            if cutter.name_of(script) == step:
                number -= 1
            if number > 0:
                return real(self, script, *arguments, **options)
            return cutter.run(real, self, script, *arguments, **options)

        monkeypatch.setattr(SshShell, "run", run)
        return cutter

    return at


def cases(steps: tuple[tuple[str, int], ...]) -> list[Any]:
    fast = (*steps[-1], "at-work")
    return [
        pytest.param(*case, marks=() if case == fast else pytest.mark.full)
        for case in ((*step, moment) for step in steps for moment in MOMENTS)
    ]


@pytest.mark.parametrize(("step", "number", "moment"), cases(CREATE))
def test_a_create_whose_connection_is_cut_leaves_nothing_or_a_vm(
    chroot: Lab, cut_lab: Callable[[str, int, str], Cutter], step: str, number: int, moment: str
) -> None:
    before = chroot.leftovers()
    cutter = cut_lab(step, number, moment)
    made = None
    with Ims() as ims, suppress(UnavailableError):
        made = ims.create_vm("cut01", memory=64 << 20, wait="defined")
    assert cutter.done, f"{step} is no step: {cutter.seen}"
    with Ims() as ims:  # as another process: it ends what was left unfinished
        ims.recover()
        assert ims.list_operations(unfinished=True) == []
        assert [vm.name for vm in ims.list_vms()] == (["cut01"] if made else [])
        if made:
            ims.delete_vm("cut01")
    chroot.is_as(before)


@pytest.mark.parametrize(("step", "number", "moment"), cases(DELETE))
def test_a_delete_whose_connection_is_cut_is_ended(
    chroot: Lab, cut_lab: Callable[[str, int, str], Cutter], step: str, number: int, moment: str
) -> None:
    before = chroot.leftovers()
    chroot.ims.create_vm("cut02", memory=64 << 20, wait="defined")
    cutter = cut_lab(step, number, moment)
    with Ims() as ims, suppress(UnavailableError):
        ims.delete_vm("cut02")
    assert cutter.done, f"{step} is no step: {cutter.seen}"
    with Ims() as ims:
        ims.recover()
        assert ims.list_operations(unfinished=True) == []
        for vm in ims.list_vms():  # it had not begun
            assert vm.problem == ""
            ims.delete_vm(vm.name)
    chroot.is_as(before)
