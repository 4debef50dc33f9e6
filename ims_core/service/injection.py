"""Putting files into the disk of a VM that is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.validation import check_files
from ims_core.errors import InvalidError
from ims_core.service.events import Event, Phase
from ims_core.service.lifecycle import changing, refuse_unfinished
from ims_core.service.operations import Kind
from ims_core.spi import Injection, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.models import File
    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline

__all__ = ["inject"]


def inject(session: Session, name: str, files: Sequence[File], deadline: Deadline) -> None:
    """See :meth:`ims_core.Ims.inject_files`."""
    provider = require(session.provider, Injection)
    if not files:
        raise InvalidError("files: there are none", hint="give at least one")
    check_files("files", tuple(files))
    with changing(session, Kind.INJECT, name, deadline.left) as (running, vm, mark):
        refuse_unfinished(session, vm, mark)
        running.session.tell(Event(Phase.UPDATE, f"putting files into {vm.name}"))
        deadline.check("nothing was changed")
        provider.inject_files(vm.uuid, files, timeout=deadline.left)
    session.report(Event(Phase.DONE, f"{len(files)} files are in {vm.name}"))
