"""``check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ims_cli.connection import connect
from ims_cli.options import pool_options
from ims_cli.output import emit
from ims_cli.plain import finding_data
from ims_cli.text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ims_core.models import Finding

__all__ = ["check"]


@click.command("check")
@click.option("--fix", is_flag=True, help="Mend what needs no decision.")
@pool_options
def check(*, fix: bool, provider: str, pool: str, output: str, quiet: bool) -> int:
    """Look at what a pool needs, and say how to mend it.

    Without --fix it changes nothing. With it, what operations that were cut short have left is
    removed, and what the store knows wrongly is put right; VMs that are complete, and what others
    made, are not touched. The exit status is 1 if something must be mended.
    """
    with connect(quiet=quiet) as ims:
        findings = ims.check(provider=provider, pool=pool, fix=fix)
    emit([finding_data(finding) for finding in findings], output, lambda: _lines(findings))
    return 0 if all(finding.ok for finding in findings) else 1


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        verdict = "ok " if finding.ok else "BAD"
        yield f"{verdict}  {harmless(f'{finding.subject}: {finding.message}')}"
        if finding.fix and not finding.ok:
            yield f"     fix: {harmless(finding.fix)}"
