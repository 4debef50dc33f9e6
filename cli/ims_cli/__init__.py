"""The ``ims`` command: one verb for each method of :class:`ims_core.Ims`.

``main`` runs a command line and turns what went wrong into messages and an exit status; ``group``
finds the verb; ``commands`` holds the verbs; the other modules are what the verbs share. Nothing
is imported before it is needed: ``ims --help`` loads click and no verb.
"""

from __future__ import annotations
