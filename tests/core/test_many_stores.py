"""Two stores of one directory in one process take nothing from each other, nor from a third."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from ims_core import Context, Mark
from ims_core.store import Intent
from ims_core.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

USE = """
import sys
from pathlib import Path
from ims_core.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
store.save_settings("third", {})
store.close()
"""


def intent(uuid: str) -> Intent:
    return Intent(uuid, "p", uuid, "bootparams", "iso", Context(), Mark("s", "", uuid))


def test_what_either_of_two_stores_saved_outlives_the_end_of_a_third(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path), SqliteStore(tmp_path)
    first.save_intent(intent("before"))
    subprocess.run([sys.executable, "-c", USE, str(tmp_path)], check=True, timeout=60)
    first.save_intent(intent("by-first"))
    second.save_intent(intent("by-second"))
    first.close()
    after = SqliteStore(tmp_path)
    assert {each.uuid for each in after.intents("p")} == {"before", "by-first", "by-second"}
    after.close()
    second.close()
