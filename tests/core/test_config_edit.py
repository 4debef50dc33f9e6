"""ims.toml changed by program: its owner's comments and layout stay, and nothing is ever lost."""

from __future__ import annotations

import fcntl
import os
import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core import ConfigError, ConflictError, ImsError, InvalidError, NotFoundError
from ims_core.config import Pool, load_config, rewrite
from ims_core.config.edit import add_pool, remove_pool, toml_value

KVM = {"provider": "kvm"}
FILE = """\
# Our site. Ask Ada before changing anything.

default_pool = "one"   # until the move

# the old machine
[pools.one]
provider   =   'kvm'   # odd, but ours
# uri = "qemu:///session"

# what all guests are told
[networks.office]
cidr = "10.1.2.0/24"

[pools.two]
provider = "fake"

# the new machines
[groups.fresh]
pools = [ "two", ]
"""


@pytest.fixture
def path(own_state: Path) -> Path:
    return own_state / "ims.toml"


def nothing(_pool: Pool) -> None:
    """Every provider is content."""


def add(path: Path, name: str = "new", *, default: bool = False, **settings: object) -> str:
    add_pool(path, name, {**KVM, **settings}, default=default, check=nothing)
    return path.read_text()


def remove(path: Path, name: str) -> str:
    remove_pool(path, name)
    return path.read_text()


def test_a_pool_is_added_at_the_end_and_all_else_stays(path: Path) -> None:
    path.write_text(FILE)
    text = add(path, "three", uri='a "b"\n', list=[1, 2], table={"a": True})
    assert text.startswith(FILE)
    assert load_config().pools["three"].settings == {
        "uri": 'a "b"\n',
        "list": [1, 2],
        "table": {"a": True},
    }


def test_the_default_is_changed_where_it_stands(path: Path) -> None:
    path.write_text(FILE)
    text = add(path, "three", default=True)
    assert 'default_pool = "three"   # until the move\n' in text
    assert text.startswith(FILE.partition("default_pool")[0])


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("", ""),
        ("# ours\n\n# old\n[pools.a]\nprovider='kvm'\n", "# ours\n\n"),
        ("# old\n[pools.a]\nprovider='kvm'\n", ""),
    ],
)
def test_a_first_default_stands_between_the_files_header_and_the_rest(
    path: Path, text: str, before: str
) -> None:
    path.write_text(text)
    after = add(path, default=True)
    assert after.startswith(before + 'default_pool = "new"\n\n')
    assert text.removeprefix(before) in after
    assert load_config().default_pool == "new"


def test_a_pool_goes_without_the_comments_of_its_neighbours(path: Path) -> None:
    path.write_text(FILE.replace('default_pool = "one"', 'default_pool = "two"'))
    text = remove(path, "one")
    assert "# the old machine\n\n# what all guests are told\n[networks.office]" in text
    assert "odd, but ours" not in text
    assert "qemu:///session" not in text
    assert text.endswith(FILE.partition("# what")[2])


def test_added_and_removed_again_leaves_the_very_same_file(path: Path) -> None:
    path.write_text(FILE)
    add(path)
    assert remove(path, "new") == FILE


VALUES = st.recursive(
    st.text(st.characters(codec="utf-8")) | st.integers(-9, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a .\"'\n=]"), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text("abc_-", min_size=1).map("x".__add__), VALUES, max_size=4))
def test_whatever_the_settings_are_they_are_read_as_they_were_given(
    settings: dict[str, Any],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "ims.toml")
        path.write_text(FILE)
        add(path, **settings)
        assert load_config(path).pools["new"].settings == settings
        assert remove(path, "new") == FILE


@pytest.mark.parametrize(
    "text",
    [
        "pools = {a = {provider = 'kvm'}, b = {provider = 'kvm'}}\n",
        "pools.a.provider = 'kvm'\npools.b.provider = 'kvm'\n",
        "[pools]\na = {provider = 'kvm'}\nb.provider = 'kvm'\n",
        "[pools.b]\nprovider = 'kvm'\n[pools.b.sub]\nx = nan\n[pools.a]\nprovider = 'kvm'",
        "[pools.a]\r\nprovider = 'kvm'\r\n\r\n# b\r\n[pools.b]\r\nprovider = 'kvm'\r\n",
        "[pools.b]\nprovider = 'kvm'\nx = '''\n# no comment'''\n[pools.a]\nprovider = 'kvm'\n",
    ],
)
def test_every_way_to_write_pools_can_be_changed(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    add(path)
    assert sorted(load_config().pools) == ["a", "b", "new"]
    remove(path, "b")
    assert sorted(load_config().pools) == ["a", "new"]
    remove(path, "a")
    remove(path, "new")
    assert load_config().pools == {}
    if "\r" in text:
        assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n")


def test_a_pool_that_exists_is_not_replaced(path: Path) -> None:
    path.write_text(FILE)
    with pytest.raises(ConflictError) as caught:
        add(path, "one")
    assert caught.value.code == "pool-exists"
    with pytest.raises(ConfigError, match="a pool has that name too"):
        add(path, "fresh")
    assert path.read_text() == FILE


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a\n[x]", "\udcff"])
def test_a_name_that_cannot_be_is_refused(path: Path, name: str) -> None:
    path.write_text(FILE)
    for change in (add, remove):
        with pytest.raises(InvalidError):
            change(path, name)
    assert path.read_text() == FILE


def test_a_pool_that_something_names_stays_and_all_that_name_it_are_told(path: Path) -> None:
    path.write_text(FILE.replace('cidr = "10.1.2.0/24"', 'cidr = "10.1.2.0/24"\npools = "two"'))
    with pytest.raises(ConflictError, match=r"groups\.fresh, networks\.office") as caught:
        remove_pool(path, "two")
    assert caught.value.code == "pool-in-use"
    with pytest.raises(ConflictError, match="default_pool"):
        remove_pool(path, "one")
    with pytest.raises(NotFoundError) as missing:
        remove_pool(path, "three")
    assert missing.value.code == "pool-not-found"


def test_a_file_that_is_not_valid_is_left_alone(path: Path) -> None:
    path.write_text("[pools.a]\n")
    with pytest.raises(ConfigError, match=r"pools\.a\.provider"):
        add(path)
    assert path.read_text() == "[pools.a]\n"


def test_what_the_result_would_say_wrongly_is_not_written(path: Path) -> None:
    path.write_text(FILE)
    with pytest.raises(ConfigError, match=r"pools\.new\.mac_scheme"):
        add(path, mac_scheme="x")
    with pytest.raises(ConfigError, match="cannot be changed without changing more"):
        add(path, uri=object())
    with pytest.raises(ImsError):
        add(path, uri="\udcff")

    def refuse(pool: Pool) -> None:
        raise ConfigError(f"no {pool.name}")

    with pytest.raises(ConfigError, match="no new"):
        add_pool(path, "new", KVM, check=refuse)
    assert path.read_text() == FILE


def test_a_new_file_is_for_its_owner_and_an_old_one_keeps_its_mode(path: Path) -> None:
    deep = path.parent / "config" / "ims" / "ims.toml"
    add(deep)
    assert stat.S_IMODE(deep.stat().st_mode) == 0o600
    deep.chmod(0o640)
    add(deep, "other")
    assert stat.S_IMODE(deep.stat().st_mode) == 0o640
    assert {each.name for each in deep.parent.iterdir()} == {"ims.toml", ".ims.toml.lock"}


def test_a_link_stays_a_link(path: Path) -> None:
    target = path.parent / "dotfiles.toml"
    target.write_text(FILE)
    path.symlink_to(target)
    add(path)
    assert path.is_symlink()
    assert "[pools.new]" in target.read_text()


def test_links_in_a_circle_are_told(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"ims\.toml"):
        add(path)


def test_a_killed_writers_remains_are_no_hindrance(path: Path) -> None:
    path.with_name(".ims.toml.new").write_text("half")
    add(path)
    assert not path.with_name(".ims.toml.new").exists()


def test_a_write_that_fails_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(FILE)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        add(path)
    assert path.read_text() == FILE
    assert not path.with_name(".ims.toml.new").exists()


def test_of_many_changes_at_once_none_is_lost(path: Path) -> None:
    names = [f"pool{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: add(path, name), names))
        assert set(tomllib.loads(path.read_text())["pools"]) == set(names)
        list(threads.map(lambda name: remove(path, name), names[1:]))
    assert list(load_config().pools) == names[:1]


def test_waiting_for_another_process_has_an_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrite, "_LOCK_SECONDS", 0.05)
    with path.with_name(".ims.toml.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConflictError) as caught:
            add(path)
    assert caught.value.code == "config-busy"
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("{a = 'b'}", {"a": "b"}),
        ('"5"', "5"),
        ("qemu:///system", "qemu:///system"),
        ("", ""),
        ("1\nx = 2", "1\nx = 2"),
        ("1 # one", "1 # one"),
        ("[" * 5000, "[" * 5000),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_value_is_toml_or_else_a_text(text: str, value: Any) -> None:
    assert toml_value(text) == value
