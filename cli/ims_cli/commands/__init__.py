"""The verbs. Each module is imported only when one of its verbs is run."""

from __future__ import annotations
