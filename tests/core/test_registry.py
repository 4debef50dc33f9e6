"""Plugins: of other packages, of one name twice, and broken ones."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from ims_core import ConfigError, NotFoundError
from ims_core.placement import Demand
from ims_core.registry import (
    LAYOUTS,
    PLACEMENT,
    PROVIDERS,
    layout,
    placement,
    plugins,
    provider_class,
)

if TYPE_CHECKING:
    from pathlib import Path


def distribution(directory: Path, name: str, entry: str, code: str, group: str = PROVIDERS) -> None:
    """An installed distribution, as the files that pip leaves."""
    (directory / f"{name.replace('-', '_')}.py").write_text(textwrap.dedent(code))
    info = directory / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the import path, for distributions that are not ours."""
    from stevedore import ExtensionManager  # noqa: PLC0415

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    return site


def test_only_the_plugin_asked_for_is_imported(site: Path) -> None:
    distribution(site, "acme-ims", "acme = acme_ims:Provider", "raise RuntimeError('imported')")
    assert provider_class("fake").name == "fake"
    assert "acme_ims" not in sys.modules


def test_a_plugin_that_cannot_be_imported_breaks_nothing_else(site: Path) -> None:
    distribution(site, "acme-ims", "acme = acme_ims:Provider", "raise RuntimeError('no licence')")
    listed = {plugin.name: plugin for plugin in plugins(PROVIDERS)}
    assert "no licence" in listed["acme"].broken
    assert listed["acme"].distribution == "acme-ims"
    assert listed["fake"].broken == ""
    with pytest.raises(ConfigError, match="RuntimeError: no licence") as caught:
        provider_class("acme")
    assert caught.value.code == "provider-broken"


def test_two_plugins_of_one_name_are_an_error_that_names_both(site: Path) -> None:
    distribution(site, "acme-ims", "acme = acme_ims:Provider", "class Provider: name = 'acme'")
    distribution(site, "emca-ims", "acme = emca_ims:Provider", "class Provider: name = 'acme'")
    with pytest.raises(ConfigError, match="acme-ims and emca-ims") as caught:
        provider_class("acme")
    assert caught.value.code == "provider-ambiguous"
    broken = [plugin.broken for plugin in plugins(PROVIDERS) if plugin.name == "acme"]
    assert len(broken) == 2
    assert all("acme-ims and emca-ims" in reason for reason in broken)


def test_an_unknown_plugin_is_told_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        provider_class("nosuch")
    assert caught.value.code == "provider-not-found"
    assert "fake, kvm" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        layout("nosuch")
    assert caught.value.code == "layout-not-found"


def test_our_own_layouts_are_plugins_too() -> None:
    for plugin in plugins(LAYOUTS):
        assert plugin.broken == ""
        assert layout(plugin.name).name == plugin.name


def test_a_strategy_of_another_package_is_an_object_that_ranks(site: Path) -> None:
    code = """
        class Reversed:
            def rank(self, candidates, demand):
                return candidates[::-1]

        REVERSED = Reversed()
    """
    distribution(site, "acme-ranks", "backwards = acme_ranks:REVERSED", code, PLACEMENT)
    distribution(site, "emca-ranks", "wrong = emca_ranks:Reversed", code, PLACEMENT)
    assert placement("backwards").rank([], Demand(0, 1)) == []
    with pytest.raises(ConfigError, match="no object with a method rank") as caught:
        placement("wrong")
    assert caught.value.code == "placement-broken"


ACME = """
    from ims_fake import FakeProvider

    class AcmeProvider(FakeProvider):
        name = "acme"
"""


def test_a_package_outside_this_repository_is_listed_and_creates_vms(
    site: Path, own_state: Path
) -> None:
    distribution(site, "ims-acme", "acme = ims_acme:AcmeProvider", ACME)
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        from ims_cli.main import main
        main()
        """
    )
    own_state.joinpath("ims.toml").write_text(
        f'[pools.acme]\nprovider = "acme"\ndirectory = "{own_state / "fake"}"\n'
    )
    image = own_state / "disk.raw"
    image.write_bytes(bytes(1 << 20))

    def ims(*arguments: str) -> str:
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "ims-acme" in ims("list-providers")
    ims("import-template", str(image), "--name", "t", "--layout", "bootparams", "--pool", "acme")
    ims("create-vm", "web01", "--provider", "acme", "--wait", "ready")
    assert "web01" in ims("list-vms", "--provider", "acme")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("", "does not say which SPI it was written for"),
        ('spi = "newest"', "does not say which SPI it was written for"),
        ('spi = "2.0"', "was written for SPI 2.0, and this IMS has 1.0"),
        ('spi = "1.99"', "was written for SPI 1.99, and this IMS has 1.0"),
        ('spi = "0.9"', "was written for SPI 0.9, and this IMS has 1.0"),
    ],
    ids=["none", "no version", "newer", "with more", "older"],
)
def test_a_provider_for_another_spi_is_refused_in_one_sentence(
    site: Path, stated: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "acme_ims", raising=False)
    code = f"import ims_core\nclass Acme(ims_core.Provider):\n    name = 'acme'\n    {stated}\n"
    distribution(site, "acme-ims", "acme = acme_ims:Acme", code)
    with pytest.raises(ConfigError) as caught:
        provider_class("acme")
    assert caught.value.message == f"provider 'acme' {message}"
    assert caught.value.code == "provider-spi"
    assert caught.value.hint
    listed = {plugin.name: plugin.broken for plugin in plugins(PROVIDERS)}
    assert listed["acme"] == caught.value.message
