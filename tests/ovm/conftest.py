"""A Manager in this process, with a pretended dom0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core import Ims
from tests.labs.ovm import template as template_archive
from tests.labs.ovm.server import serving
from tests.ovm import lab as lab_of
from tests.ovm.pretended import Client, PretendedDom0
from tests.xen.pretended import PretendedXen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.labs.ovm import OvmLab
    from tests.labs.ovm.manager import Manager


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is told the WSDLs of another, whose Manager had the same port."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def dom0(tmp_path: Path) -> PretendedDom0:
    """A pretended dom0, with the folder of a template."""
    folder = PretendedDom0(PretendedXen(tmp_path))
    folder.seed(folder.ovs / "seed_pool/tiny")
    return folder


@pytest.fixture
def manager(dom0: PretendedDom0) -> Manager:
    """A Manager that answers everybody."""
    return dom0.manager()


@pytest.fixture
def client(manager: Manager) -> Iterator[Client]:
    """Whoever speaks to that."""
    with serving(manager) as url:
        yield Client(url)


@pytest.fixture(scope="session")
def template(ovm_lab: OvmLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tiny guest as a template of the Manager's, for the whole session."""
    directory = tmp_path_factory.mktemp("import")
    config = lab_of.write_config(directory, ovm_lab)
    with Ims(config=config, state=directory / "state") as ims:
        if lab_of.TEMPLATE in [each.name for each in ims.list_templates()]:
            ims.delete_template(lab_of.TEMPLATE)
        archive = template_archive.build()
        ims.import_template(
            str(archive), lab_of.TEMPLATE, layout="bootparams", min_memory=128 << 20
        )
        yield lab_of.TEMPLATE
        ims.delete_template(lab_of.TEMPLATE)


@pytest.fixture
def lab(ovm_lab: OvmLab, template: str, own_state: Path) -> Iterator[lab_of.Lab]:
    """The lab with a fresh state; whatever a test leaves there fails it."""
    config = lab_of.write_config(own_state, ovm_lab)
    before = lab_of.leftovers(ovm_lab.dom0)
    with Ims() as ims:
        lab = lab_of.Lab(ovm_lab.dom0, ims, config)
        yield lab
        store = ims.session().store.id
        for vm in ims.list_vms():
            if vm.mark is not None and vm.mark.store == store:
                ims.delete_vm(vm.uuid)
    assert lab_of.leftovers(ovm_lab.dom0) == before
