"""ims.toml: which pool is meant, and errors that name the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core import ConfigError, Ims, ImsError, NotFoundError
from ims_core.config import Config, Pool, load_config

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO, OTHER = Pool("one", "kvm"), Pool("two", "kvm"), Pool("other", "fake")
POOLS = {pool.name: pool for pool in (ONE, TWO, OTHER)}


@pytest.mark.parametrize(
    ("config", "name", "provider", "expected"),
    [
        (Config(), "", "", Pool("kvm", "kvm")),
        (Config(), "", "fake", Pool("fake", "fake")),
        (Config(POOLS), "", "", ONE),
        (Config(POOLS), "", "fake", OTHER),
        (Config(POOLS), "two", "", TWO),
        (Config(POOLS), "two", "kvm", TWO),
        (Config(POOLS, "two"), "", "", TWO),
        (Config(POOLS, "two"), "", "kvm", TWO),
        (Config(POOLS, "two"), "", "fake", OTHER),
        (Config(POOLS), "", "xen", Pool("xen", "xen")),
    ],
)
def test_the_pool_that_is_meant(config: Config, name: str, provider: str, expected: Pool) -> None:
    assert config.pool(name=name, provider=provider) == expected


def test_a_pool_that_is_not_there_or_of_another_provider_is_an_error() -> None:
    with pytest.raises(NotFoundError) as caught:
        Config(POOLS).pool(name="nosuch")
    assert caught.value.code == "pool-not-found"
    assert "one, two, other" in caught.value.hint
    with pytest.raises(ConfigError, match="'other' is of provider 'fake'"):
        Config(POOLS).pool(name="other", provider="kvm")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[pools", "not valid TOML"),
        ("pool = 1", "'pool'"),
        ("pools = 1", "[pools.NAME]"),
        ("[pools.a]\nprovider = 'kvm'\nmac_scheme = 'x'", "pools.a.mac_scheme"),
        ("[pools.a]\nuri = 'x'", "pools.a.provider"),
        ("[pools.a]\nprovider = 1", "pools.a.provider"),
        ("[pools.'a/b']\nprovider = 'kvm'", "'a/b'"),
        ("pools.a = 3", "pools.a"),
        ("default_pool = 'b'", "'b'"),
        ("\x00", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_by_its_key(own_state: Path, text: str, names: str) -> None:
    own_state.joinpath("ims.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert names in caught.value.message
    assert str(own_state) in caught.value.message


def test_a_file_that_cannot_be_read_is_told(own_state: Path) -> None:
    own_state.joinpath("ims.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        load_config()


@pytest.mark.parametrize(
    ("line", "names"), [("delay = 'long'", "pools.p.delay"), ("nosuch = 1", "pools.p.nosuch")]
)
def test_a_providers_own_setting_is_validated_by_its_model(
    own_state: Path, line: str, names: str
) -> None:
    own_state.joinpath("ims.toml").write_text(f"[pools.p]\nprovider = 'fake'\n{line}\n")
    with Ims() as ims, pytest.raises(ImsError, match=names):
        ims.list_vms()
