"""Two hundred VMs by eight processes on the real hypervisor, on a network with room for 180."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.labs.kvm.resources import virsh
from tests.many import ADDRESSES, EACH, PROCESSES, create_many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

NETWORK = """
<network>
  <name>ims-many</name>
  <bridge name='virbr-ims-many'/>
  <ip address='10.207.0.1' netmask='255.255.255.0'>
    <dhcp><range start='10.207.0.200' end='10.207.0.250'/></dhcp>
  </ip>
</network>
"""
CONFIG = """
[networks.many]
network = "ims-many"
cidr = "10.207.0.0/24"
gateway = "10.207.0.1"
range = "10.207.0.10-10.207.0.189"
"""


@pytest.fixture
def network(lab: Lab, own_state: Path) -> Iterator[str]:
    """A libvirt network of the test's own, whose addresses ims.toml has in its care."""
    definition = own_state / "network.xml"
    definition.write_text(NETWORK)
    virsh("net-define", str(definition))
    virsh("net-start", "ims-many")
    with lab.config.open("a") as config:
        config.write(CONFIG)
    yield "ims-many"
    virsh("net-destroy", "ims-many")
    virsh("net-undefine", "ims-many")


@pytest.mark.full  # two minutes; the same on the fake hypervisor is in make test
def test_as_many_as_there_are_addresses_are_made_each_with_its_own(lab: Lab, network: str) -> None:
    before = lab.leftovers()
    try:
        outcome = create_many("--network", network, timeout=500)
        assert len(outcome.made) == ADDRESSES
        assert outcome.errors == {"address-pool-exhausted": PROCESSES * EACH - ADDRESSES}
        given = re.findall(r"<host .*?ip='(10\.207[^']*)'", virsh("net-dumpxml", network))
        assert sorted(given) == sorted(f"10.207.0.{number}" for number in range(10, 190))
        new = {kind: set(names) - set(before[kind]) for kind, names in lab.leftovers().items()}
        assert new["domains"] == {vm["name"] for vm in outcome.made}
        assert len(new["volumes"]) == 2 * ADDRESSES  # a disk and a medium each
    finally:
        names = [vm["name"] for vm in lab.listed()]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda name: lab.cli("delete-vm", name, "--quiet"), names))
    assert lab.leftovers() == before
    assert "<host " not in virsh("net-dumpxml", network)
