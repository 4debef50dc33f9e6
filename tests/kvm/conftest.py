"""The KVM lab as tests use it: a pool with the tiny guest as its template, judged by virsh."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Ims
from tests.guest_console import run_in_guest
from tests.labs.kvm.resources import refresh_pool, virsh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.labs.kvm import KvmLab

TEMPLATE = "tiny-under-test"
BOOT_SECONDS = 90.0
MEMORY = 128 << 20


@dataclass(frozen=True)
class Lab:
    """A state directory of its own on the KVM lab."""

    lab: KvmLab
    ims: Ims
    config: Path
    others: frozenset[str]

    def cli(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``ims`` as its own process."""
        return subprocess.run(
            [sys.executable, "-m", "ims_cli", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=460,  # above every --timeout that a test gives
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What ``ims … --output json`` printed."""
        return json.loads(self.cli(*arguments, "--output", "json").stdout)

    def listed(self, *options: str) -> list[dict[str, Any]]:
        """What list-vms shows, but for VMs that were there before."""
        return [vm for vm in self.json("list-vms", *options) if vm["name"] not in self.others]

    def run_in_guest(self, name: str, command: str) -> str:
        """The output of a shell command inside the guest, over its console."""
        return run_in_guest(self.ims, name, command)

    def leftovers(self) -> dict[str, list[str]]:
        """Everything in the lab, as virsh sees it."""
        return leftovers(self.lab)


def leftovers(lab: KvmLab) -> dict[str, list[str]]:
    """Everything in the lab, as virsh sees it."""
    refresh_pool(lab.pool)
    network = virsh("net-dumpxml", lab.network)
    volumes = virsh("vol-list", lab.pool).splitlines()
    return {
        "domains": sorted(virsh("list", "--all", "--name").split()),
        "volumes": sorted(line.split()[0] for line in volumes if line.strip()),
        "hosts": sorted(line.strip() for line in network.splitlines() if "<host " in line),
    }


def all_of(lab: KvmLab) -> set[str]:
    """The same as one set."""
    return {f"{kind}: {name}" for kind, names in leftovers(lab).items() for name in names}


@pytest.fixture(scope="session")
def template(
    kvm_lab: KvmLab, tiny_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The tiny guest as a template in the lab's pool, for the whole session."""
    directory = tmp_path_factory.mktemp("import")
    config = write_config(directory, kvm_lab)
    with Ims(config=config, state=directory / "state") as ims:
        if TEMPLATE in [each.name for each in ims.list_templates()]:
            ims.delete_template(TEMPLATE)
        ims.import_template(str(tiny_image), TEMPLATE, layout="bootparams", min_memory=MEMORY)
        yield TEMPLATE
        ims.delete_template(TEMPLATE)


@pytest.fixture
def lab(kvm_lab: KvmLab, template: str, own_state: Path) -> Iterator[Lab]:
    """The lab with a fresh state; whatever a test leaves there fails it."""
    config = write_config(own_state, kvm_lab)
    with Ims() as ims:
        others = frozenset(vm.name for vm in ims.list_vms(include_foreign=True))
        lab = Lab(kvm_lab, ims, config, others)
        before = lab.leftovers()
        yield lab
        store = ims.session().store.id
        for vm in ims.list_vms():
            if vm.mark is not None and vm.mark.store == store:
                ims.delete_vm(vm.uuid)
        assert lab.leftovers() == before


def write_config(directory: Path, lab: KvmLab, *, uri: str = "", storage_pool: str = "") -> Path:
    """An ims.toml whose default pool is the lab."""
    path = directory / "ims.toml"
    path.write_text(
        f"""
default_pool = "lab"
[pools.lab]
provider = "kvm"
template = "{TEMPLATE}"
uri = "{uri or lab.uri}"
storage_pool = "{storage_pool or lab.pool}"
network = "{lab.network}"
"""
    )
    return path
