"""What orchestration code and providers build on does not change by accident."""

from __future__ import annotations

from difflib import unified_diff

from tests.core.api_record import RECORD, api


def test_the_public_api_and_the_spi_are_as_they_were_recorded() -> None:
    recorded, found = RECORD.read_text(encoding="utf-8"), api()
    changes = unified_diff(recorded.splitlines(), found.splitlines(), "recorded", "now", "", "", 0)
    assert recorded == found, (
        "if this is meant, say so in the CHANGELOG, raise ims_core.spi.SPI_VERSION where providers"
        " notice it, and run `python -m tests.core.api_record`:\n" + "\n".join(changes)
    )
