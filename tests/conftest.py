"""What every test gets: a state of its own, and the labs that it names.

A lab that cannot start skips its tests with the reason, or fails them where IMS_REQUIRE_LABS is 1.
Where several processes share the tests (``-n 2 --dist loadgroup``), each lab is used by one.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

import pytest
from hypothesis import settings

from tests.labs import LabError, LabMissingError, cache, kvm, ovm, tiny_guest, virtualbox, xen
from tests.labs.virtualbox import chroot, guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.labs.command_line import Lab
    from tests.labs.kvm import KvmLab
    from tests.labs.machine import Machine
    from tests.labs.ovm import OvmLab

T = TypeVar("T")

# A busy machine must not fail a test, and the tests leave nothing behind.
settings.register_profile("ims", deadline=None, database=None)
settings.load_profile("ims")

# The tests with one of these markers, or fixtures, share what only one process at a time can use.
# Those of the KVM lab take longest.
ALONE = ("lab_kvm", "lab_xen", "lab_virtualbox", "virtualbox_chroot", "disk_label")

# The name of the property in which a test says something.
SAID = "said"


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a lab in one process, and have those that take long begin first."""
    if not hasattr(config, "workerinput"):  # this process has all the tests
        return
    for item in items:
        if marker := _alone(item):
            item.add_marker(pytest.mark.xdist_group(marker))
    items.sort(key=lambda item: (*ALONE, "").index(_alone(item)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have said, whichever process they were in."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    properties = [
        each for report in reports if report.when == "call" for each in report.user_properties
    ]
    said = [str(value) for name, value in properties if name == SAID]
    if said:
        terminalreporter.section("what the tests say")
        terminalreporter.write("".join(f"{line}\n" for line in said))


def _alone(item: pytest.Item) -> str:
    fixtures = getattr(item, "fixturenames", ())
    return next((each for each in ALONE if item.get_closest_marker(each) or each in fixtures), "")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the configuration and state of whoever runs it."""
    monkeypatch.setenv("IMS_CONFIG", str(tmp_path / "ims.toml"))
    monkeypatch.setenv("IMS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI", raising=False)
    return tmp_path


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Note a line that is printed at the end, whether the test passes or not."""
    return lambda line: record_property(SAID, line)


@pytest.fixture(scope="session")
def kvm_lab() -> Iterator[KvmLab]:
    """A running libvirt with a storage pool and a network of the lab's own."""
    with running("KVM lab", kvm, "kvm-tests") as lab:
        yield lab


@pytest.fixture(scope="session")
def xen_lab() -> Iterator[Machine]:
    """A running dom0, which root may enter over SSH."""
    with running("Xen lab", xen, "xen-tests") as lab:
        yield lab


@pytest.fixture(scope="session")
def ovm_lab(xen_lab: Machine) -> Iterator[OvmLab]:
    """A simulated Oracle VM Manager that acts in the Xen lab's dom0."""
    with running("OVM lab", ovm, "ovm-tests") as lab:
        yield lab


@pytest.fixture(scope="session")
def virtualbox_lab() -> Iterator[Machine]:
    """A machine with a VirtualBox that starts guests, which root may enter over SSH."""
    with running("VirtualBox lab", virtualbox, "virtualbox-tests") as lab:
        yield lab


@pytest.fixture(scope="session")
def virtualbox_chroot() -> Iterator[Machine]:
    """The same without a driver, in which all but a start goes well."""
    with running("VirtualBox chroot", chroot, "virtualbox-chroot-tests") as lab:
        yield lab


@pytest.fixture(scope="session")
def tiny_image() -> Path:
    """The tiny guest's qcow2 image."""
    try:
        return tiny_guest.build()
    except LabError as error:
        unavailable("tiny guest", error)


@pytest.fixture(scope="session")
def tiny_virtualbox_image() -> Path:
    """The same with what speaks to VirtualBox's own device in it."""
    try:
        return guest.build()
    except LabError as error:
        unavailable("tiny guest for VirtualBox", error)


@contextmanager
def running(what: str, lab: Lab[T], lock: str) -> Iterator[T]:
    """A lab for this process alone; stopped in the end, unless it ran before."""
    with ExitStack() as held:
        try:
            # Two processes would take each other's VMs for leftovers.
            held.enter_context(cache.lock(lock, wait=False))
            before = lab.lab()
            started = lab.start()
        except LabError as error:
            unavailable(what, error)
        yield started
        if before is None:
            lab.stop(force=True)


def unavailable(what: str, error: LabError) -> NoReturn:
    """Skip, or fail where labs are required and could be had."""
    if os.environ.get("IMS_REQUIRE_LABS") == "1" and not isinstance(error, LabMissingError):
        pytest.fail(f"{what}: {error}", pytrace=False)
    pytest.skip(f"{what}: {error}")
