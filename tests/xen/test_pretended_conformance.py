"""The suite that every provider must pass, through the whole xen provider on a pretended dom0.

A quick complement to the suite on a real dom0: the scripts are the real ones, Xen is not, and no
guest boots. No static address is named, because the provider does not refuse one that comes with
its prefix length: a dom0 need not have an address in the network that its bridge leads to.
"""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from ims_core.models import Interface, Template
from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_core.undo import Undo
from tests.counting import counted
from tests.xen.pretended import OPERATION, SIZE, PretendedShell, PretendedXen
from tests.xen.xenstored import Xenstored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def ims_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    xen = PretendedXen(tmp_path)
    image = tmp_path / "tiny.raw"
    image.write_bytes(b"\x55" * SIZE)
    digest = f"sha256:{hashlib.sha256(image.read_bytes()).hexdigest()}"
    template = Template("tiny", "raw", digest, SIZE, SIZE, layout="bootparams")
    xen.provider.import_template({"image": image}, template, Undo(OPERATION), lambda *_: None)

    def make_foreign(name: str) -> Callable[[], object]:
        number = xen.foreign(name)
        return lambda: xen.remove_foreign(number)

    def break_vm(uuid: str) -> Callable[[], object]:
        (vm,) = xen.provider.inspect([uuid])
        xen.vm(vm.name).joinpath("root.raw").unlink()
        return lambda: None

    def copy_vm(uuid: str) -> Callable[[], object]:
        (vm,) = xen.provider.inspect([uuid])
        copy = xen.vm("a-copy")
        shutil.copytree(xen.vm(vm.name), copy)
        return lambda: shutil.rmtree(copy)

    def leftovers() -> set[str]:
        own = {path.name for path in xen.pool.glob("vms/*")}
        return xen.files() | {each["name"] for each in xen.domains() if each["name"] not in own}

    requests = counted(monkeypatch, ["run"], PretendedShell)
    with Xenstored(xen.xen / "xenstored", domains=xen.xen / "domains"):
        yield Target(
            provider=xen.provider,
            template=template,
            interfaces=(Interface(network="xenbr0"),),
            settings=xen.settings,
            make_foreign=make_foreign,
            break_vm=break_vm,
            copy_vm=copy_vm,
            lab="a pretended dom0: the real scripts, no Xen and no guests",
            requests=lambda: len(requests),
            leftovers=leftovers,
        )
    xen.check()
