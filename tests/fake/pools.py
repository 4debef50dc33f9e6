"""Looking at a fake pool, and changing it, behind the provider's back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ims_fake import FakeProvider

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
[networks.lab]
network = "fake"
cidr = "192.0.2.0/24"
range = "192.0.2.8-192.0.2.{last}"
"""
TEMPLATE = "tiny"
SIZE = 64 << 10


def settings_of(directory: Path, **changes: Any) -> dict[str, Any]:
    """Settings as the service hands them over."""
    model = FakeProvider.settings().model_validate({"directory": str(directory), **changes})
    return model.model_dump(mode="json")


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a pool, with its bytes."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def add_foreign(directory: Path, name: str, state: str = "running") -> Path:
    """A VM that somebody else made."""
    path = directory / "domains" / f"{uuid4()}.json"
    path.write_text(json.dumps({"name": name, "state": state}))
    return path


def add_network(folder: Path, *, last: int) -> Path:
    """Have ``ims.toml`` give the addresses from 192.0.2.8 to 192.0.2.``last`` to guests."""
    config = folder / "ims.toml"
    config.write_text(config.read_text() + NETWORK.format(last=last))
    return config
