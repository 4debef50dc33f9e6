"""ims.toml: networks and groups, and errors that name the key and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core import ConfigError, NotFoundError
from ims_core.config import Group, Network, load_config

if TYPE_CHECKING:
    from pathlib import Path

POOLS = "[pools.a]\nprovider = 'kvm'\n[pools.b]\nprovider = 'fake'\n"
LAB = POOLS + "[networks.lab]\ncidr = ['10.1.2.0/24', 'fd00:1::/64']\n"


def write(folder: Path, text: str) -> None:
    folder.joinpath("ims.toml").write_text(text)


def test_a_network_with_everything_is_read_in_canonical_texts(own_state: Path) -> None:
    write(
        own_state,
        LAB + "gateway = ['10.1.2.1', 'FD00:1:0::1']\ndns = '9.9.9.9'\n"
        "range = ['10.1.2.100 - 10.1.2.199', 'fd00:1::100-fd00:1::1ff']\n"
        "excluded = ['10.1.2.110', '10.1.2.120-10.1.2.129', '10.1.2.128/30']\n"
        "pools = ['a']\nnetwork = 'bridge:br0'\n",
    )
    assert load_config().networks["lab"] == Network(
        "lab",
        cidrs=("10.1.2.0/24", "fd00:1::/64"),
        gateways=("10.1.2.1", "fd00:1::1"),
        nameservers=("9.9.9.9",),
        ranges=(("10.1.2.100", "10.1.2.199"), ("fd00:1::100", "fd00:1::1ff")),
        excluded=("10.1.2.110", "10.1.2.120-10.1.2.129", "10.1.2.128-10.1.2.131"),
        pools=("a",),
        hypervisor_name="bridge:br0",
    )


def test_a_network_with_a_subnet_alone_is_in_every_pool_and_allocates_nothing(
    own_state: Path,
) -> None:
    write(own_state, "[networks.lab]\ncidr = '10.1.2.0/24'\n")
    network = load_config().networks["lab"]
    assert (network.hypervisor_name, network.allocates, network.versions) == ("lab", False, ())
    assert network.serves("whatever")


def test_the_network_of_a_card_is_found_by_its_pool_and_the_hypervisors_name(
    own_state: Path,
) -> None:
    write(
        own_state,
        POOLS + "[networks.one]\ncidr = '10.1.0.0/24'\npools = 'a'\nnetwork = 'default'\n"
        "[networks.two]\ncidr = '10.2.0.0/24'\npools = ['b']\nnetwork = 'default'\n"
        "[networks.all]\ncidr = '10.3.0.0/24'\n",
    )
    config = load_config()
    for pool, name, found in (
        ("a", "default", "one"),
        ("b", "default", "two"),
        ("b", "all", "all"),
        ("kvm", "all", "all"),
    ):
        network = config.network(pool, name)
        assert network is not None
        assert network.name == found
    assert config.network("a", "one") is None
    assert config.network("kvm", "default") is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("networks = 1", "networks must be a table"),
        ("[networks.'a b']\ncidr = '10.0.0.0/8'", "'a b'"),
        ("networks.lab = 1", "networks.lab must be a table"),
        ("[networks.lab]", "networks.lab.cidr is missing"),
        ("[networks.lab]\ncidr = 3", "networks.lab.cidr must be"),
        ("[networks.lab]\ncidr = [3]", "networks.lab.cidr must be"),
        ("[networks.lab]\ncidr = '10.0.0.0'", "networks.lab.cidr: '10.0.0.0'"),
        ("[networks.lab]\ncidr = 'fe80::%eth0/64'", "networks.lab.cidr: 'fe80::%eth0/64'"),
        ("[networks.lab]\ncidr = '10.0.0.0/33'", "networks.lab.cidr: '10.0.0.0/33'"),
        ("[networks.lab]\ncidr = '10.0.0.1/24'", "an address in a subnet"),
        ("[networks.lab]\ncidr = ['10.0.0.0/8', '10.1.0.0/16']", "overlap"),
        (LAB + "subnet = '1'", "networks.lab.subnet is not known"),
        (LAB + "gateway = '10.1.3.1'", "networks.lab.gateway: '10.1.3.1' is not inside 10.1.2.0"),
        (LAB + "gateway = 'gw'", "networks.lab.gateway: 'gw' is not an address"),
        (LAB + "gateway = 'fe80::1%eth0'", "networks.lab.gateway: 'fe80::1%eth0'"),
        (LAB + "dns = 'dns.example'", "networks.lab.dns: 'dns.example'"),
        (LAB + "range = '10.1.2.3'", "networks.lab.range: '10.1.2.3' is not a range"),
        (LAB + "range = '10.1.2.3-x'", "networks.lab.range: '10.1.2.3-x' is not a range"),
        (LAB + "range = '10.1.2.9-10.1.2.3'", "networks.lab.range: '10.1.2.9-10.1.2.3' ends"),
        (LAB + "range = '10.1.2.9-fd00:1::1'", "networks.lab.range: '10.1.2.9-fd00:1::1' ends"),
        (LAB + "range = '10.1.2.9-10.1.3.9'", "networks.lab.range: '10.1.2.9-10.1.3.9' is not in"),
        (LAB + "excluded = '10.1.0.0/16'", "networks.lab.excluded: '10.1.0.0/16' is not inside"),
        (LAB + "excluded = '10.1.2.3/24'", "networks.lab.excluded: '10.1.2.3/24' is no address"),
        (LAB + "excluded = '-'", "networks.lab.excluded: '-'"),
        (LAB + "pools = []", "networks.lab.pools is empty"),
        (LAB + "pools = ['c']", "networks.lab.pools: there is no pool 'c'"),
        (LAB + "network = ''", "networks.lab.network must be a string"),
        (
            LAB + "[networks.x]\ncidr = '10.0.0.0/8'\nnetwork = 'lab'\npools = 'b'",
            "networks.lab and networks.x are both network 'lab' of pool b",
        ),
        (
            LAB + "[networks.x]\ncidr = '10.0.0.0/8'\nnetwork = 'lab'",
            "networks.lab and networks.x are both network 'lab' of every pool",
        ),
    ],
)
def test_a_wrong_network_is_told_by_its_key(own_state: Path, text: str, names: str) -> None:
    write(own_state, text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert names in caught.value.message


def test_a_group_has_pools_and_a_strategy(own_state: Path) -> None:
    write(
        own_state,
        POOLS + "[groups.both]\npools = ['a', 'b']\n[groups.one]\npools = 'a'\nstrategy = 'pack'\n",
    )
    config = load_config()
    assert config.group("both") == Group("both", ("a", "b"), "spread")
    assert config.group("one").strategy == "pack"
    with pytest.raises(NotFoundError) as caught:
        config.group("three")
    assert caught.value.code == "group-not-found"
    assert "both, one" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[groups]\ng = 1", "groups.g must be a table"),
        ("[groups.a]\npools = ['a']", "groups.a: a pool has that name too"),
        ("[groups.g]", "groups.g.pools is missing"),
        ("[groups.g]\npools = []", "groups.g.pools is empty"),
        ("[groups.g]\npools = 3", "groups.g.pools must be"),
        ("[groups.g]\npools = ['a', 'c']", "groups.g.pools: there is no pool 'c'"),
        ("[groups.g]\npools = ['a']\nstrategy = 1", "groups.g.strategy"),
        ("[groups.g]\npools = ['a']\nstrategy = ''", "groups.g.strategy"),
        ("[groups.g]\npools = ['a']\nhosts = 1", "groups.g.hosts is not known"),
        ("[groups.'g/']\npools = ['a']", "'g/'"),
    ],
)
def test_a_wrong_group_is_told_by_its_key(own_state: Path, text: str, names: str) -> None:
    write(own_state, POOLS + text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert names in caught.value.message


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
def test_a_file_that_overburdens_the_parser_is_no_crash(own_state: Path, text: str) -> None:
    write(own_state, text)
    with pytest.raises(ConfigError):
        load_config()
