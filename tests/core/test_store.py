"""The store: private, safe between processes, and honest when it cannot be used."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ims_core import ConfigError, Context, Mark
from ims_core.store import Intent
from ims_core.store.sqlite import SqliteStore as Store

if TYPE_CHECKING:
    from pathlib import Path

MARK = Mark("s", "o", "u1", complete=True)
INTENT = Intent("u1", "p", "web01", "bootparams", "iso", Context(secrets={"k": "v"}), MARK)


def test_what_was_saved_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = Store(tmp_path / "state")
    first.save_intent(INTENT)
    first.save_settings("digest", {"a": 1})
    first.close()
    second = Store(tmp_path / "state")
    assert second.id == first.id
    assert second.intent("u1") == INTENT
    assert second.marks("p") == {"u1": MARK}
    assert second.settings("digest") == {"a": 1}
    second.forget("u1")
    second.forget("u1")
    assert second.intent("u1") is None
    second.close()


def test_a_vm_that_is_not_complete_is_not_among_the_known_marks(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_intent(INTENT)
    store.save_mark(Mark("s", "o", "u1", complete=False))
    assert store.marks("p") == {}
    store.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.save_intent(INTENT)
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    store.close()


def test_many_open_it_at_once(tmp_path: Path) -> None:
    def use(index: int) -> str:
        store = Store(tmp_path / "state")
        store.save_settings(str(index), {"index": index})
        store.close()
        return store.id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(24)))) == 1


def test_one_that_another_is_making_is_waited_for(tmp_path: Path) -> None:
    maker = sqlite3.connect(tmp_path / "ims.sqlite", isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    end = threading.Timer(0.2, maker.execute, ["COMMIT"])
    end.start()
    try:
        Store(tmp_path).close()
    finally:
        end.join()
        maker.close()


@pytest.mark.parametrize("damage", ["garbage", "newer", "directory"])
def test_one_that_cannot_be_used_says_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ims.sqlite"
    if damage == "garbage":
        path.write_bytes(b"this is no database at all" * 100)
    elif damage == "directory":
        path.mkdir()
    else:
        Store(tmp_path).close()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    with pytest.raises(ConfigError) as caught:
        Store(tmp_path)
    assert caught.value.code == "store-unusable"
    assert caught.value.hint
