"""What the suite cannot know: the hypervisor's own words."""

from dataclasses import replace

import pytest
from ims_core.errors import BusyError, HypervisorError
from ims_core.models import Mark, State

from ims_acme.hypervisor import POWER_STATES, ApiError, Machine
from ims_acme.translate import (
    MARK,
    STATES,
    ask,
    mark_of,
    mark_text,
    state_of,
)

MACHINE = Machine("3f1c", "web01", power="on")


def refuse(reason: str) -> None:
    """Refuse a request, as the hypervisor does."""
    raise ApiError(reason, "not now")


def test_every_power_state_has_its_state() -> None:
    """15. A state is never lost."""
    assert set(STATES) == set(POWER_STATES)
    assert state_of(MACHINE) is State.RUNNING


def test_a_power_state_of_a_later_version_is_not_guessed() -> None:
    """15. A state is never guessed."""
    assert state_of(replace(MACHINE, power="hibernating")) is State.UNKNOWN


def test_a_mark_counts_only_in_its_own_vm() -> None:
    """12. A copy made by other tools must not be taken for the VM that IMS has made."""
    mark = Mark("store", "operation", MACHINE.uuid)
    marked = replace(MACHINE, tags={MARK: mark_text(mark)})
    assert mark_of(marked) == mark
    assert mark_of(replace(marked, uuid="9a2b")) is None
    assert mark_of(replace(MACHINE, tags={MARK: "not ours"})) is None


def test_what_is_refused_is_an_error_of_ims() -> None:
    """3. What is busy can be repeated, and what nobody foresaw is told as it is."""
    with pytest.raises(BusyError, match="not now"):
        ask(refuse, "locked")
    with pytest.raises(HypervisorError, match="not now"):
        ask(refuse, "whatever")
