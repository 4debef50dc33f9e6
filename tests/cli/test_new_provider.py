"""What `ims new-provider` writes: a package that passes at once, and fails when it is broken."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ims_cli.scaffolding import Names
from tests.cli.helpers import ROOT, Cli, environment
from tests.cli.test_group import modules_after
from tests.conftest import unavailable
from tests.labs import LabError

LONGEST = "a" * 30
NAMES = ("acme", "my-cloud", "x1", LONGEST)
FEWEST_TESTS = 70


def made(cli: Cli, name: str) -> Path:
    """A package, as the command writes it."""
    cli.ok("new-provider", name, "--directory", cli.folder)
    return cli.folder / f"ims-{name}"


def run(folder: Path, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**environment(), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def conformance(package: Path, *options: str) -> str:
    """What the package's own tests say, with the package not installed."""
    path = os.pathsep.join([str(package), environment()["PYTHONPATH"]])
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
    return run(package, *command, PYTHONPATH=path).stdout


def test_it_says_what_it_made_and_how_to_go_on(empty: Cli) -> None:
    told = empty.ok("new-provider", "my-cloud", "--directory", empty.folder).out
    package = empty.folder / "ims-my-cloud"
    written = [each for each in package.rglob("*") if each.is_file()]
    assert f"{package}, {len(written)} files" in told
    assert f"cd {package} && pip install" in told
    assert f"grep -rn YOURS: {package}" in told
    data = empty.json("new-provider", "acme", "--directory", empty.folder)
    assert data["directory"] == str(empty.folder / "ims-acme")
    assert {"pyproject.toml", ".gitignore", "ims_acme/py.typed"} <= {*data["files"]}
    assert ".github/workflows/ci.yml" in data["files"]


def test_it_writes_into_the_working_directory(empty: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.folder)
    assert empty.json("new-provider", "acme")["directory"] == "ims-acme"
    assert (empty.folder / "ims-acme" / "pyproject.toml").is_file()


def test_nothing_of_the_scaffolds_own_name_is_left(empty: Cli) -> None:
    package = made(empty, "my-cloud")
    paths = [each for each in package.rglob("*") if each.is_file()]
    assert not [each for each in paths if "acme" in str(each.relative_to(package)).lower()]
    assert not [each for each in paths if "acme" in each.read_text(encoding="utf-8").lower()]
    assert 'my-cloud = "ims_my_cloud:MyCloudProvider"' in (package / "pyproject.toml").read_text()


def test_each_method_says_where_its_authors_code_goes(empty: Cli) -> None:
    package = made(empty, "acme")
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "YOURS:" in text or path.name in ("__init__.py", "guest.py") or "test_" in path.name
    assert "$ grep -rn YOURS: ims_acme tests" in (package / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "status", "code", "message"),
    [
        ("Acme", 2, "invalid-name", "name 'Acme' is not possible for a provider"),
        ("1x", 2, "invalid-name", "name '1x' is not possible for a provider"),
        ("my_cloud", 2, "invalid-name", "name 'my_cloud' is not possible for a provider"),
        ("my--cloud", 2, "invalid-name", "name 'my--cloud' is not possible for a provider"),
        ("cloud-", 2, "invalid-name", "name 'cloud-' is not possible for a provider"),
        ("../x", 2, "invalid-name", "name '../x' is not possible for a provider"),
        ("é", 2, "invalid-name", "name 'é' is not possible for a provider"),
        ("acme\n", 2, "invalid-name", "name 'acme\\n' is not possible for a provider"),
        ("", 2, "invalid-name", "name '' is not possible for a provider"),
        (f"{LONGEST}a", 2, "invalid-name", f"name '{LONGEST}a' is not possible for a provider"),
        ("class", 2, "invalid-name", "name 'class' is a keyword of Python"),
        ("kvm", 4, "provider-exists", "there is a provider 'kvm' already, in ims"),
        (
            "core",
            4,
            "module-exists",
            "name 'core' is not possible: there is a Python package ims_core already",
        ),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    empty: Cli, name: str, status: int, code: str, message: str
) -> None:
    before = sorted(empty.folder.iterdir())
    command = ("new-provider", "--directory", empty.folder, "--output", "json", "--", name)
    result = empty(*command)
    assert (result.status, result.error["code"], result.error["message"]) == (status, code, message)
    assert result.error["hint"]
    assert sorted(empty.folder.iterdir()) == before


def test_what_is_there_is_left_as_it_is(empty: Cli) -> None:
    package = made(empty, "acme")
    (package / "mine").write_text("mine")
    before = sorted(package.rglob("*"))
    result = empty(*("new-provider", "acme", "--directory", empty.folder, "--output", "json"))
    assert (result.status, result.error["code"]) == (4, "directory-exists")
    assert result.error["message"] == f"there is '{package}' already"
    assert sorted(package.rglob("*")) == before


def test_a_link_that_leads_nowhere_is_not_written_through(empty: Cli) -> None:
    (empty.folder / "ims-acme").symlink_to(empty.folder / "elsewhere")
    result = empty("new-provider", "acme", "--directory", empty.folder)
    assert result.status == 4
    assert not (empty.folder / "elsewhere").exists()


def test_the_directory_must_be_there(empty: Cli) -> None:
    nowhere = empty.folder / "nowhere"
    result = empty("new-provider", "acme", "--directory", nowhere, "--output", "json")
    assert (result.status, result.error["code"]) == (3, "directory-not-found")
    assert result.error["message"] == f"--directory '{nowhere}' is not a directory"
    assert not nowhere.exists()


@pytest.mark.parametrize("failing", ["write_text", "rename"])
def test_a_disk_that_is_full_leaves_nothing(
    empty: Cli, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(empty.folder.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(Path, failing, full)
        result = empty("new-provider", "acme", "--directory", empty.folder)
    assert result.status == 1
    assert f"--directory '{empty.folder}' cannot be written into: No space left" in result.err
    assert sorted(empty.folder.iterdir()) == before


def test_its_help_loads_nothing_heavy() -> None:
    modules = modules_after("new-provider", "--help")
    assert not modules.intersection(("ims_cli.scaffolding", "importlib.metadata", "pydantic"))


@pytest.mark.parametrize("name", NAMES)
def test_a_package_is_clean_whatever_its_name(
    empty: Cli, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = made(empty, name)
    cache = tmp_path_factory.getbasetemp() / "mypy-of-new-providers"
    for command in (
        ("ruff", "check", "--no-cache"),
        ("ruff", "format", "--check", "--no-cache"),
        ("mypy", "--cache-dir", str(cache)),
    ):
        done = run(package, sys.executable, "-m", *command)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_package_passes_the_suite_whatever_its_name(empty: Cli, name: str) -> None:
    said = conformance(made(empty, name)).splitlines()[-1]
    passed, _, rest = said.partition(" passed")
    assert int(passed) >= FEWEST_TESTS
    assert "failed" not in rest
    assert "error" not in rest


NOT_OURS = "            return Discarded.NOT_OURS\n        return Discarded.REMOVED if ask(remove"
DEFINED = "        ask(self._client.define, machine)\n"
GONE = "        if machine is None:\n            return\n"


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        (GONE, "        assert machine\n", "test_delete_is_idempotent"),
        (
            DEFINED,
            f"{DEFINED}        ask(self._client.power_on, machine.uuid)\n",
            "test_create_leaves_the_vm_defined_with_its_mark",
        ),
        (
            NOT_OURS,
            NOT_OURS.replace("return Discarded.NOT_OURS", "pass"),
            "test_discard_leaves_a_namesake_untouched",
        ),
    ],
    ids=["delete", "create", "discard"],
)
def test_a_method_that_is_broken_fails_the_suite(
    empty: Cli, old: str, new: str, fails: str
) -> None:
    package = made(empty, "acme")
    provider = package / "ims_acme" / "provider.py"
    text = provider.read_text(encoding="utf-8")
    assert text.count(old) == 1
    provider.write_text(text.replace(old, new), encoding="utf-8")
    said = conformance(package, "-k", "delete or create or discard")
    assert f"FAILED tests/test_conformance.py::{fails}" in said


def test_the_names_of_a_provider() -> None:
    names = Names("my-cloud2-x")
    assert (names.folder, names.module) == ("ims-my-cloud2-x", "ims_my_cloud2_x")
    assert names.cls == "MyCloud2XProvider"


def test_a_package_is_installed_tested_and_used_in_a_fresh_environment(tmp_path: Path) -> None:
    """As an author does it, with IMS from a wheel."""
    env = {"PYTHONPATH": ""}
    run(tmp_path, sys.executable, "-m", "venv", tmp_path / "venv", **env)
    bin_ = tmp_path / "venv" / "bin"
    done = run(tmp_path, bin_ / "pip", "install", "--quiet", f"{ROOT}[testing]", **env)
    if done.returncode:
        unavailable("fresh environment", LabError(done.stderr))
    package = tmp_path / "ims-acme"
    for folder, *command in (
        (tmp_path, "ims", "new-provider", "acme"),
        (package, "pip", "install", "--quiet", "--editable", "."),
        (package, "pytest"),
        (package, "ims", "create-vm", "--provider", "acme"),
        (package, "ims", "create-vm", "--provider", "acme", "--wait", "ready"),
    ):
        done = run(folder, bin_ / command[0], *command[1:], **env)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "receipt    good" in done.stdout
    listed = run(package, bin_ / "ims", "list-providers", **env).stdout
    assert ["acme", "ims-acme", "-"] in [line.split() for line in listed.splitlines()]
    again = run(tmp_path, bin_ / "ims", "new-provider", "acme", "--directory", bin_, **env)
    assert again.stderr.startswith("ims: there is a provider 'acme' already, in ims-acme\n")
