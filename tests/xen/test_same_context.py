"""The same command line makes the same guest on every hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guest_console import run_in_guest
from tests.same_context import ASKED, COMMAND, SEEN

if TYPE_CHECKING:
    from tests.xen.conftest import Lab

pytestmark = [pytest.mark.lab_xen, pytest.mark.full]


def test_the_guest_is_what_it_is_everywhere(lab: Lab) -> None:
    made = lab.json(*COMMAND, "--provider", "xen")
    assert made["receipt"]["ready"]
    assert run_in_guest(lab.ims, "same01", ASKED).splitlines() == SEEN
    lab.json("delete-vm", "same01")
