"""What every test gets: a state of its own, and the labs that it names.

A lab that cannot start skips its tests with the reason, or fails them where IMS_REQUIRE_LABS is 1.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

from tests.labs import LabError, kvm, tiny_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.labs.kvm import KvmLab

# A busy machine must not fail a test, and the tests leave nothing behind.
settings.register_profile("ims", deadline=None, database=None)
settings.load_profile("ims")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the configuration and state of whoever runs it."""
    monkeypatch.setenv("IMS_CONFIG", str(tmp_path / "ims.toml"))
    monkeypatch.setenv("IMS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def kvm_lab() -> Iterator[KvmLab]:
    """A running libvirt with a storage pool and a network of the lab's own."""
    before = kvm.lab()
    try:
        lab = kvm.start()
    except LabError as error:
        unavailable("KVM lab", error)
    yield lab
    if before is None:
        kvm.stop(force=True)


@pytest.fixture(scope="session")
def tiny_image() -> Path:
    """The tiny guest's qcow2 image."""
    try:
        return tiny_guest.build()
    except LabError as error:
        unavailable("tiny guest", error)


def unavailable(what: str, error: LabError) -> NoReturn:
    """Skip, or fail where labs are required."""
    if os.environ.get("IMS_REQUIRE_LABS") == "1":
        pytest.fail(f"{what}: {error}", pytrace=False)
    pytest.skip(f"{what}: {error}")
