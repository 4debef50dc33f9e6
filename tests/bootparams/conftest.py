from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.bootparams import real_cloud_init

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "ash"]}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A POSIX shell that guests have; tools run in it are busybox' own under busybox."""
    name, *arguments = SHELLS[request.param]
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return [path, *arguments]


@pytest.fixture(scope="session")
def cloud_init() -> real_cloud_init.CloudInit:
    """The real cloud-init."""
    try:
        return real_cloud_init.find()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Debian's cloud-init cannot be had: {error}")
