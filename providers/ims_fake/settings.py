"""The settings of a fake pool. Imported only when there is something to validate."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Settings", "Step"]

Step = Literal[
    "prepare",
    "create.volume",
    "clone.volume",
    "create.seed",
    "create.overlay",
    "create.domain",
    "start.seed",
    "start",
    "stop",
    "suspend",
    "resume",
    "pause",
    "snapshot",
    "restore-snapshot",
    "delete-snapshot",
    "delete",
    "write-mark",
    "set-addresses",
    "update-context",
    "inject-files",
    "changes",
    "inspect",
    "metrics",
    "import.image",
    "import.manifest",
    "delete-template",
    "discard.volume",
    "discard.seed",
    "discard.overlay",
    "discard.domain",
    "discard.snapshot",
    "discard.image",
    "discard.manifest",
]


class Settings(BaseModel):
    """What a fake pool can be told."""

    model_config = ConfigDict(extra="forbid")

    directory: str = Field(
        default="~/.local/state/ims-fake",
        min_length=1,
        description="Where the pool lies. Made when it is missing; ~ is your home directory.",
    )
    network: IPv4Network | IPv6Network = Field(
        default=IPv4Network("192.0.2.0/24"),
        description="Subnet of the pool's one network, 'fake'. Its first address is the gateway.",
    )
    capacity: int = Field(
        default=1 << 40,
        gt=0,
        description="Bytes that all templates, disks and media together may take.",
    )
    delay: float = Field(
        default=0.0, ge=0, le=60, description="Seconds that each changing step takes."
    )
    fail: list[Step] = Field(
        default=[],
        description="Steps that fail, half done where that is possible.",
    )
    busy: list[Step] = Field(
        default=[],
        description="Steps that are busy the first time they are tried.",
    )
    guests: Literal["pretended", "processes"] = Field(
        default="pretended",
        description="What guests are: `pretended` ones answer at once and are nothing but files;"
        " `processes` are detached ones that run the real guest program, each in a directory below"
        " this one and with no effect outside it. Slowness, failures and `shutdown` are for both.",
    )
    guest_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=7 * 86400,
        description="How long a guest that is a process may run before it is stopped.",
    )
    receipts: Literal["good", "bad-digest", "failed-item", "stale", "none"] = Field(
        default="good",
        description="How pretended guests answer: truly; as if a byte of the medium were changed;"
        " that an item failed; with an earlier start's nonce; or not at all. `processes` answer"
        " truly.",
    )
    shutdown: Literal["obeys", "ignores"] = Field(
        default="obeys", description="What guests do when they are asked to stop."
    )

    @model_validator(mode="after")
    def _lies_are_pretended(self) -> Self:
        if self.guests == "processes" and self.receipts != "good":
            raise ValueError("receipts: guests that are processes answer truly; use 'good'")
        return self
