"""Which host of which pool a VM is placed on. Pure: the service knows the hosts and decides.

Two steps: :func:`allowed` leaves the candidates that the caller's constraints permit, and a
:class:`Strategy` puts these in order. A strategy of your own is an object with a ``rank`` method,
declared as an entry point of the group ``ims.placement``:

.. code-block:: toml

    [project.entry-points."ims.placement"]
    by-name = "acme_ims:BY_NAME"
"""

from __future__ import annotations

from ims_core.placement.constraints import Constraints, allowed
from ims_core.placement.model import Candidate, Demand, Strategy

__all__ = ["Candidate", "Constraints", "Demand", "Strategy", "allowed"]
