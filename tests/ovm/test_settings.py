"""A pool's settings, as the command line takes, shows and refuses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ims_core import Ims
from ims_core.errors import ConfigError
from ims_ovm import OvmProvider
from ims_ovm.opening import open_manager
from tests.cli.helpers import Cli
from tests.labs.ovm.manager import Authentication
from tests.labs.ovm.server import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ovm.pretended import PretendedDom0

GOOD = "http://ovm-manager.example:8888"


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("IMS_OVM_PASSWORD", raising=False)
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    "url",
    [
        GOOD,
        "https://10.0.0.1:4443",
        "http://[fe80::1]:8888",
        "https://manager",
    ],
)
def test_an_address_is_a_scheme_a_host_and_a_port(url: str) -> None:
    assert OvmProvider.settings()(manager=url).model_dump()["manager"] == url


@pytest.mark.parametrize(
    "url",
    [
        f"{GOOD}/",
        f"{GOOD}/OVSWS/ServerPoolService.wsdl",
        f"{GOOD}?x=hunter2",
        f"{GOOD}#hunter2",
        f"{GOOD}\n",
        "http://:8888",
        "http://a b",
        "ovm-manager.example:8888",
        "tcp://ovm-manager.example:54321",
        "file:///etc/passwd",
        "",
        "http://admin:hunter2@ovm-manager.example:8888",
        "http://admin:hunter2@ovm-manager.example:8888;root:hunter2",
    ],
)
def test_another_address_is_refused_clearly_and_not_repeated(cli: Cli, url: str) -> None:
    made = cli("create-pool", "p", "--provider", "ovm", "--set", f"manager={json.dumps(url)}")
    assert made.status == 2
    assert "manager" in made.err
    assert "hunter2" not in made.err
    assert "Traceback" not in made.err
    if "@" not in url:  # those are refused for any provider
        assert "write it as http://HOST:8888" in made.err
        assert "password_file" in made.err
    assert not (cli.folder / "ims.toml").exists()


def test_the_address_is_needed(cli: Cli) -> None:
    made = cli("create-pool", "p", "--provider", "ovm")
    assert made.status == 2
    assert "pools.p.manager" in made.err


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("auth=digest", "auth"),
        ("timeout=0", "timeout"),
        ("timeout=601", "timeout"),
        ("timeout=nan", "timeout"),
        ("directory=relative", "directory"),
        ("password=hunter2", "password"),
        ("bootparams=magic", "bootparams"),
        ("operations=5", "operations"),
        ("operations={power_on = 5}", "operations.power_on"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(cli: Cli, setting: str, says: str) -> None:
    arguments = ("--set", f"manager={GOOD}", "--set", setting)
    made = cli("create-pool", "p", "--provider", "ovm", *arguments)
    assert made.status == 2
    assert f"pools.p.{says}" in made.err
    assert "hunter2" not in made.err


def test_a_password_file_that_others_may_read_is_refused(cli: Cli) -> None:
    file = cli.folder / "password"
    file.write_text("hunter2\n")
    file.chmod(0o644)
    config = f'[pools.lab]\nprovider = "ovm"\nmanager = "{GOOD}"\npassword_file = "{file}"\n'
    (cli.folder / "ims.toml").write_text(config)
    listed = cli("list-vms", "--output", "json")
    assert (listed.status, listed.error["code"]) == (2, "invalid-config")
    assert listed.error["hint"] == f"chmod 600 {file}"
    assert "hunter2" not in listed.out + listed.err


def test_tables_of_names_and_a_password_reach_the_manager_from_the_file(
    cli: Cli, dom0: PretendedDom0
) -> None:
    (cli.folder / "password").write_text("hunter2\n")
    (cli.folder / "password").chmod(0o600)
    with serving(dom0.manager(Authentication("basic", "me", "hunter2"))) as url:
        (cli.folder / "ims.toml").write_text(
            f'[pools.lab]\nprovider = "ovm"\nmanager = "{url}"\nmanager_user = "me"\n'
            f'password_file = "~/password"\ndirectory = "{dom0.ovs}"\n'
            '[pools.lab.operations]\npower_on = "VirtualMachineService.reboot(vm)"\n'
            '[pools.lab.fields]\n"VmStatus.code" = "number"\n'
            '[pools.lab.statuses]\n"Switched On" = "RUNNING"\n5 = "PAUSED"\n'
        )
        with Ims() as ims:
            provider = ims.session().provider
            assert isinstance(provider, OvmProvider)
            manager = provider._manager
            assert manager.images() == []
            table = manager.client.table
            assert table.operations["power_on"].name == "reboot"
            assert table.name("VmStatus", "code") == "number"
            assert manager._statuses.read("switched on", None) == "RUNNING"
            assert manager._statuses.read("?", 5) == "PAUSED"
        state = b"".join(each.read_bytes() for each in cli.folder.rglob("*") if each.is_file()
                         and each.name not in {"password", "manager.db"})  # fmt: skip
        assert b"hunter2" not in state


def test_what_to_trust_must_be_a_file_of_certificates(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("no certificate\n")
    for name in ("garbage", "absent", ""):
        settings = OvmProvider.settings()(manager=GOOD, ca_file=str(tmp_path / name))
        with pytest.raises(ConfigError, match="ca_file"):
            open_manager(settings.model_dump())


def test_the_provider_is_described_with_every_setting(cli: Cli) -> None:
    shown = cli.json("show-provider", "ovm")
    text = json.dumps(shown)
    for name in OvmProvider.settings().model_fields:
        assert f'"{name}"' in text
    people = cli.ok("show-provider", "ovm").out
    assert "http://HOST:8888" in people
    assert "Traceback" not in people
    for word in ("manager", "password_file", "operations", "statuses", "wsse"):
        assert word in people
