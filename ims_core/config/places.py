"""Where the configuration and the state lie."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["config_path", "state_dir"]


def config_path() -> Path:
    """``IMS_CONFIG``, or ``ims.toml`` in the platform's configuration directory."""
    if given := os.environ.get("IMS_CONFIG"):
        return Path(given)
    from platformdirs import user_config_path  # noqa: PLC0415 - only without IMS_CONFIG

    return user_config_path("ims") / "ims.toml"


def state_dir() -> Path:
    """``IMS_STATE``, or the platform's state directory."""
    if given := os.environ.get("IMS_STATE"):
        return Path(given)
    from platformdirs import user_state_path  # noqa: PLC0415 - only without IMS_STATE

    return user_state_path("ims")
