"""Two hundred VMs by eight processes against a network with room for 180."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.fake.pools import contents
from tests.many import ADDRESSES, EACH, PROCESSES, create_many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ims_core import Ims

NETWORK = """
[networks.lab]
network = "fake"
cidr = "192.0.2.0/24"
range = "192.0.2.10-192.0.2.189"
"""


def test_as_many_as_there_are_addresses_are_made_each_with_its_own(
    connect: Callable[..., Ims], own_state: Path, pool: Path
) -> None:
    ims = connect()
    before = contents(pool)
    with (own_state / "ims.toml").open("a") as config:
        config.write(NETWORK)
    outcome = create_many(timeout=300)
    assert len(outcome.made) == ADDRESSES
    assert outcome.errors == {"address-pool-exhausted": PROCESSES * EACH - ADDRESSES}
    domains = [json.loads(path.read_bytes()) for path in (pool / "domains").glob("*.json")]
    addresses = [address for each in domains for address in each["interfaces"][0]["addresses"]]
    assert set(addresses) == {f"192.0.2.{number}/24" for number in range(10, 190)}
    assert len(addresses) == ADDRESSES
    assert len(list((pool / "volumes").iterdir())) == ADDRESSES
    for vm in outcome.made:
        ims.delete_vm(vm["name"])
    assert contents(pool) == before
