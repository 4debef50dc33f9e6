"""Looking at a fake pool, and changing it, behind the provider's back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ims_fake import FakeProvider

if TYPE_CHECKING:
    from pathlib import Path

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
