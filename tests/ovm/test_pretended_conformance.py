"""The suite that every provider must pass, through the whole ovm provider.

The Manager is the simulated one, in this process; the dom0 is a pretended one. The scripts are the
real ones, and no guest boots. No static address is named, for the reason that the xen provider has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ims_core.models import Interface
from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_ovm.wire.client import Client as WireClient
from tests.counting import counted
from tests.labs.ovm.server import serving
from tests.ovm.pretended import Client
from tests.ovm.provided import PretendedOvm, archive_of, imported
from tests.xen.pretended import PretendedShell, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0


def all_vms(client: Client) -> list[Any]:
    """Every VM of the Manager's."""
    return client.getAllVMs(client.pool()) or []


@pytest.fixture
def ims_target(
    dom0: PretendedDom0, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    asked = counted(monkeypatch, ["call"], WireClient)
    run = counted(monkeypatch, ["run"], PretendedShell)
    with serving(manager) as url:
        client = Client(url)
        client.template()  # what is not ours is made of it
        ovm = PretendedOvm(dom0, manager, url)
        provider = ovm.provider()
        archive = archive_of(tmp_path)
        template = imported(provider, archive, "kit")

        def make_foreign(name: str) -> Callable[[], object]:
            client.create(name)
            return lambda: forget_foreign(name)

        def forget_foreign(name: str) -> None:
            found = {each.imgName: each.imgId for each in all_vms(client)}
            if name in found:
                client.deleteVMByVMId(found[name])
                wait_for(lambda: name not in [each.imgName for each in all_vms(client)])

        def break_vm(uuid: str) -> Callable[[], object]:
            (mark,) = (
                path
                for path in dom0.ovs.glob("running_pool/*/ims/vm.json")
                if uuid in path.read_text()
            )
            mark.parent.parent.joinpath("System.img").unlink()
            return lambda: None

        yield Target(
            provider=provider,
            template=template,
            image=archive,
            interfaces=(Interface(network="xenbr0"),),
            settings=ovm.settings(),
            lab="a simulated OVM Manager and a pretended dom0: the real scripts, no Xen, no guests",
            requests=lambda: len(asked) + len(run),
            make_foreign=make_foreign,
            break_vm=break_vm,
            # What was adopted and is deleted leaves its disks there, as they are not ours.
            leftovers=lambda: {each for each in ovm.leftovers() if "ims-foreign" not in each},
        )
        provider.close()
