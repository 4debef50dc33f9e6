"""The service, opened for one command."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ims_cli.signals import Cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ims_core import Ims

__all__ = ["connect"]


@contextmanager
def connect(*, quiet: bool) -> Iterator[Ims]:
    """An :class:`~ims_core.Ims` that reports its progress on stderr, closed at the end."""
    from ims_cli.progress import Reporter  # noqa: PLC0415
    from ims_core.service import Ims  # noqa: PLC0415 - what --help must not pay for

    context = click.get_current_context(silent=True)
    cancellation = context.find_object(Cancellation) if context else None
    reporter = Reporter(quiet=quiet, cancellation=cancellation or Cancellation())
    try:
        with Ims(progress=reporter) as ims:
            yield ims
    finally:
        reporter.finish()
