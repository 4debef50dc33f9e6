"""Every test and fixture of the suite, for one import line: ``from … import *``."""

from __future__ import annotations

from ims_core.testing import (
    addresses,
    cloning,
    context,
    facts,
    lifecycle,
    looking,
    pausing,
    running,
    snapshots,
    states,
    suspending,
    templates,
    undo,
    unsupported,
)
from ims_core.testing.addresses import *  # noqa: F403 - each module names its tests in __all__
from ims_core.testing.bench import ims_bench, ims_nothing_left_behind
from ims_core.testing.cloning import *  # noqa: F403
from ims_core.testing.context import *  # noqa: F403
from ims_core.testing.facts import *  # noqa: F403
from ims_core.testing.lifecycle import *  # noqa: F403
from ims_core.testing.looking import *  # noqa: F403
from ims_core.testing.pausing import *  # noqa: F403
from ims_core.testing.running import *  # noqa: F403
from ims_core.testing.snapshots import *  # noqa: F403
from ims_core.testing.states import *  # noqa: F403
from ims_core.testing.suspending import *  # noqa: F403
from ims_core.testing.templates import *  # noqa: F403
from ims_core.testing.undo import *  # noqa: F403
from ims_core.testing.unsupported import *  # noqa: F403

__all__ = ["ims_bench", "ims_nothing_left_behind"]
__all__ += addresses.__all__
__all__ += cloning.__all__
__all__ += context.__all__
__all__ += facts.__all__
__all__ += lifecycle.__all__
__all__ += looking.__all__
__all__ += pausing.__all__
__all__ += running.__all__
__all__ += snapshots.__all__
__all__ += states.__all__
__all__ += suspending.__all__
__all__ += templates.__all__
__all__ += undo.__all__
__all__ += unsupported.__all__
