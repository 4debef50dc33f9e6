"""The same command line makes the same guest on every hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.same_context import ASKED, COMMAND, SEEN
from tests.virtualbox.conftest import write_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.virtualbox.conftest import Lab

pytestmark = [pytest.mark.lab_virtualbox, pytest.mark.full]


def test_the_guest_is_what_it_is_everywhere(lab: Lab, tmp_path: Path) -> None:
    write_config(tmp_path, lab.host, nat_subnet="192.168.177.0/24")
    made = lab.json(*COMMAND, "--provider", "virtualbox")
    assert made["receipt"]["ready"]
    # Nobody can type at its console; so a script asks, and the log of the console answers.
    asking = tmp_path / "asking"
    asking.write_text(  # first it ends the line in which a shell's prompt stands
        f"#!/bin/sh\nexec >/dev/ttyS0\necho; echo IMS-BEGIN\n({ASKED})\necho IMS-END\n"
    )
    script = ("--script", str(asking), "--wait", "ready", "--timeout", "900")
    lab.json("update-context", "same01", *script)
    lines = lab.json("console-vm", "same01", "--log")["lines"]
    first, last = lines.index("IMS-BEGIN"), lines.index("IMS-END")
    assert lines[first + 1 : last] == SEEN
    lab.json("delete-vm", "same01")
