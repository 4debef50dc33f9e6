"""Labs: real hypervisors, built from distribution packages and run on this machine.

Each lab has a command (``python3 -m tests.labs.<lab> start|stop|status``) and
importable functions. What a lab builds is kept under :func:`tests.labs.cache.root`;
what it starts is remembered there and ended by process id, never by name.
"""

from __future__ import annotations


class LabError(Exception):
    """A lab could not be built, started or stopped; the message says why."""


class LabMissingError(LabError):
    """What a lab is made of is not to be had at all, which is nobody's fault here."""


class LabUnavailableError(LabError):
    """This machine cannot run the lab as it is; the message names the command that helps."""
