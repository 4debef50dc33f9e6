"""What a pool of this provider can be told in ims.toml.

A module of its own, because pydantic is loaded only when there is something to validate.
"""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """The keys of a pool, as `ims show-provider acme` prints them."""

    model_config = ConfigDict(extra="forbid")

    # YOURS: whatever one must know to reach your hypervisor. Each field has a description, and a
    # default where there is a sensible one: with defaults alone no ims.toml is needed. No
    # passwords: name the file or the environment variable that holds one.
    address: str = Field(
        default="memory://acme",
        min_length=1,
        description="The hypervisor that is meant. Each address is one of its own.",
    )
    network: str = Field(
        default="lan",
        min_length=1,
        description="The network of cards that name none.",
    )
