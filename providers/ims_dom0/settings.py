"""What the settings of every pool that has a dom0 can say.

Imported only when there is something to validate.
"""

from __future__ import annotations

from pydantic import Field

from ims_shell.settings import ShellSettings

__all__ = ["Dom0Settings"]


class Dom0Settings(ShellSettings):
    """A dom0, how to log in to it, and where its guests' cards are plugged in."""

    bridge: str = Field(
        default="xenbr0",
        pattern=r"^[A-Za-z0-9._-]{1,15}$",
        description="The bridge of cards that name no network.",
    )
