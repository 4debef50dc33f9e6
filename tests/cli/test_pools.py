from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.test_group import modules_after

if TYPE_CHECKING:
    from tests.cli.helpers import Cli


def toml(cli: Cli) -> str:
    return (cli.folder / "ims.toml").read_text()


def test_a_pool_that_was_created_is_listed_and_used(empty: Cli) -> None:
    made = empty.json(
        *("create-pool", "far", "--provider", "fake", "--template", "tiny", "--default"),
        *("--set", f"directory={empty.folder / 'far'}", "--set", "delay=0.0"),
    )
    assert made == {
        "name": "far",
        "provider": "fake",
        "default": True,
        "template": "tiny",
        "groups": [],
    }
    assert empty.json("list-pools") == [
        {"name": "lab", "provider": "fake", "default": False, "template": None, "groups": []},
        made,
    ]
    assert empty.json("list-vms") == []
    assert (empty.folder / "far").is_dir()
    assert "delay = 0.0" in toml(empty)


def test_a_table_of_pools(empty: Cli) -> None:
    path = empty.folder / "ims.toml"
    path.write_text(path.read_text() + "[groups.all]\npools = ['lab']\n[groups.x]\npools = 'lab'")
    head, line = empty.ok("list-pools").out.splitlines()
    assert head.split() == ["NAME", "PROVIDER", "DEFAULT", "TEMPLATE", "GROUPS"]
    assert line.split() == ["lab", "fake", "yes", "-", "all,", "x"]
    path.unlink()
    assert empty.json("list-pools") == []


def test_delete_pool_says_what_it_leaves(cli: Cli) -> None:
    cli.ok("create-vm", "web01")
    result = cli.ok("delete-pool", "lab")
    assert "its VMs and templates stay as they are" in result.out
    assert cli.left_behind()
    assert cli.json("list-pools") == []
    cli.ok("create-pool", "lab", "--provider", "fake", "--set", f"directory={cli.pool}")
    assert [vm["name"] for vm in cli.json("list-vms")] == ["web01"]
    assert cli.json("delete-pool", "lab") == {"name": "lab", "deleted": True}


@pytest.mark.parametrize(
    ("arguments", "status", "code", "says"),
    [
        (["lab", "--provider", "fake"], 4, "pool-exists", "lab"),
        (["new", "--provider", "nosuch"], 3, "provider-not-found", "nosuch"),
        (["a/b", "--provider", "fake"], 2, "invalid-name", "a/b"),
        (["new", "--provider", "fake", "--template", "a/b"], 2, "invalid-name", "a/b"),
        (["new", "--provider", "fake", "--set", "delay=long"], 2, "invalid-config", "new.delay"),
        (["new", "--provider", "fake", "--set", "fail=['x']"], 2, "invalid-config", "new.fail.0"),
        (["new", "--provider", "fake", "--set", "nosuch=1"], 2, "invalid-config", "new.nosuch"),
        (["new", "--provider", "fake", "--set", "a b=1"], 2, "invalid-value", "'a b'"),
        (["new", "--provider", "fake", "--set", "provider=kvm"], 2, "invalid-value", "provider"),
        (["new", "--provider", "fake", "--set", "delay"], 2, "invalid-value", "--set"),
        (["new", "--provider", "fake", "--set", "=1"], 2, "invalid-value", "--set"),
        (
            ["new", "--provider", "fake", "--set", "delay=1", "--set", "delay=2"],
            2,
            "invalid-value",
            "twice",
        ),
        (["new", "--provider", "fake", "--set", "mac_scheme=x"], 2, "invalid-config", "mac_scheme"),
        (
            ["new", "--provider", "fake", "--set", "directory=\udcff"],
            2,
            "invalid-config",
            "directory",
        ),
    ],
)
def test_a_pool_that_cannot_be_is_refused_and_the_file_stays(
    empty: Cli, arguments: list[str], status: int, code: str, says: str
) -> None:
    before = toml(empty)
    result = empty("create-pool", *arguments, "--output", "json")
    assert (result.status, result.error["code"]) == (status, code)
    assert says in result.error["message"]
    assert toml(empty) == before


@pytest.mark.parametrize(
    "value",
    [
        "qemu+ssh://root:hunter2@lab.example/system",
        '"https://u:hunter2@host"',
        "[{a = ['x', 'ssh://:hunter2@host:22/']}]",
        "ssh://u:hunter2@host?x=1",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(empty: Cli, value: str) -> None:
    result = empty("create-pool", "new", "--provider", "kvm", "--set", f"uri={value}")
    assert result.status == 2
    assert "keyring" in result.err
    assert "hunter2" not in result.err + result.out + toml(empty)


@pytest.mark.parametrize("uri", ["qemu+ssh://root@h:22/system?keyfile=/a@b", "qemu:///system"])
def test_a_url_without_a_password_is_no_password(empty: Cli, uri: str) -> None:
    empty.ok("create-pool", "new", "--provider", "kvm", "--set", f"uri={uri}")
    assert f'uri = "{uri}"' in toml(empty)


def test_a_pool_that_something_names_is_not_deleted(empty: Cli) -> None:
    path = empty.folder / "ims.toml"
    path.write_text(path.read_text() + "[groups.all]\npools = ['lab']\n")
    result = empty("delete-pool", "lab", "--output", "json")
    assert (result.status, result.error["code"]) == (4, "pool-in-use")
    assert "groups.all" in result.error["message"]
    result = empty("delete-pool", "nosuch", "--output", "json")
    assert (result.status, result.error["code"]) == (3, "pool-not-found")


def test_only_what_changes_the_file_loads_its_editor(empty: Cli) -> None:
    assert not modules_after("create-pool", "--help").intersection(("tomlkit", "pydantic"))
    assert not modules_after("list-pools").intersection(("tomlkit", "pydantic", "stevedore"))
    assert "tomlkit" not in modules_after("list-vms")
