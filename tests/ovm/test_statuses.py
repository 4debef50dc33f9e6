"""Each status of the Manager's is one of our states, and none is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import ConfigError
from ims_core.models import State
from ims_ovm.wire.statuses import Status, Statuses
from tests.labs.ovm.store import STATUSES
from tests.ovm.answering import answering, client_of, manager_of, speaking

#: The constants of the facts, 2.5: our state, and whether another status follows by itself.
TABLE = {
    "CLONING": ("stopped", True),
    "CREATING": ("stopped", True),
    "DELETING": ("stopping", True),
    "DEPLOYING": ("stopped", True),
    "ERROR": ("unknown", False),
    "INITIALIZING": ("stopped", True),
    "MIGRATING": ("running", True),
    "PAUSED": ("paused", False),
    "PAUSING": ("running", True),
    "POWEREDOFF": ("stopped", False),
    "REBOOTING": ("starting", True),
    "RESUMING": ("starting", True),
    "RUNNING": ("running", False),
    "SAVING": ("stopped", True),
    "SHUTTINGDOWN": ("stopping", True),
    "SUSPENDED": ("suspended", False),
    "SUSPENDING": ("stopping", True),
    "UNKNOWN": ("unknown", False),
    "UNPAUSING": ("paused", True),
}


def test_all_nineteen_and_no_other() -> None:
    assert len(TABLE) == 19
    assert {each.value: (each.state.value, each.passing) for each in Status} == TABLE
    assert set(STATUSES) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_text_is_read_in_any_case_and_with_any_separators(name: str) -> None:
    statuses = Statuses({})
    for text in (name, name.lower(), name.title(), f" {name}\n", "_".join(name), " - ".join(name)):
        assert statuses.read(text, None) is Status[name]
        assert statuses.read(text, 4711) is Status[name]


def test_every_status_comes_through_from_the_manager() -> None:
    row = "<result><imgName>{0}</imgName><status><status>{0}</status></status></result>"
    told = {
        "getServerPoolByName": "<result><serverPoolId>1</serverPoolId></result>",
        "getAllVMs": "".join(row.format(name) for name in TABLE),
    }
    with answering(speaking(told)) as site:
        images = manager_of(client_of(site.url)).images()
    assert {each.name: each.status.state.value for each in images} == {
        name: state for name, (state, _) in TABLE.items()
    }


def test_what_nobody_told_is_unknown_and_not_guessed() -> None:
    statuses = Statuses({})
    for text, code in ((None, None), ("", 0), ("Started", 13), ("RUN", 1), ("RUNNING!", None)):
        assert statuses.read(text, code) is Status.UNKNOWN
        assert statuses.read(text, code).state is State.UNKNOWN


def test_a_site_s_words_are_texts_or_codes_and_the_text_counts_first() -> None:
    statuses = Statuses({"Powered Up": "running", "9": "PoweredOff", "Running": "ERROR"})
    assert statuses.read("poweredup", 9) is Status.RUNNING
    assert statuses.read("Something", 9) is Status.POWEREDOFF
    assert statuses.read(None, 9) is Status.POWEREDOFF
    assert statuses.read("9", None) is Status.POWEREDOFF
    assert statuses.read("RUNNING", None) is Status.ERROR  # even a constant's own
    assert statuses.read("PAUSED", None) is Status.PAUSED


def test_a_word_for_no_status_is_refused_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r"statuses\.Up is 'ALIVE'") as caught:
        Statuses({"Up": "ALIVE"})
    assert all(name in caught.value.hint for name in TABLE)


@given(
    st.none() | st.text(), st.none() | st.integers(), st.dictionaries(st.text(), st.just("ERROR"))
)
def test_reading_never_fails(text: str | None, code: int | None, told: dict[str, str]) -> None:
    status = Statuses(told).read(text, code)
    assert isinstance(status.state, State)
    assert status in {Status.UNKNOWN, Status.ERROR} or str(text).strip()
