"""The service: what ``ims`` and orchestration code both use."""

from __future__ import annotations

from ims_core.service.events import Event, Phase, Watched
from ims_core.service.ims import Ims

__all__ = ["Event", "Ims", "Phase", "Watched"]
