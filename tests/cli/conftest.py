from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from stevedore import ExtensionManager

from tests.cli.helpers import Cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """A command line with one pool, ``lab``, of the fake provider; nothing in it."""
    monkeypatch.setenv("IMS_CONFIG", str(tmp_path / "ims.toml"))
    monkeypatch.setenv("IMS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("IMS_DEBUG", raising=False)
    cli = Cli(tmp_path, capsys, monkeypatch)
    cli.configure()
    return cli


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.raw"
    path.write_bytes(b"\x01" * 4096)
    return path


@pytest.fixture
def cli(empty: Cli, image: Path) -> Cli:
    """The same with one template, ``tiny``, whose guests answer with a receipt."""
    empty.ok("import-template", image, "--layout", "bootparams")
    return empty


@pytest.fixture
def odd(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The same, driven by a plugin of somebody else's."""
    site = tmp_path / "site"
    info = site / "somebody_else-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-else\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ims.providers]\n"
        "odd = tests.cli.odd_provider:OddProvider\n"
        "broken = no_such_module:Provider\n"
    )
    monkeypatch.syspath_prepend(site)
    # stevedore keeps what it found for the life of a process, which is one test here.
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    cli.configure("odd")
    return cli
