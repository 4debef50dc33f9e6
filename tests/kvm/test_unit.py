"""Parts of the kvm provider that need no guest; libvirt's own test driver judges the XML."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from ims_core import Carrier, Delivery, Interface, Mark, State, Template, UnavailableError, VMSpec
from ims_kvm import KvmProvider
from ims_kvm.access import _closed_to
from ims_kvm.connection import Link, choose_uri
from ims_kvm.domain import build, cards_of
from ims_kvm.injecting import availability
from ims_kvm.mark import mark_element, mark_from, read_mark, read_storage, write_mark
from ims_kvm.metrics import metrics_from
from ims_kvm.states import REASONS, STATES, state_of
from ims_kvm.volumes import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = Template("tiny", "qcow2", "sha256:" + "0" * 64, 1, 1 << 20)
PATHS = Paths(
    *("p", "/p/base.qcow2", "/p/vm.qcow2", "/p/vm.seed-a", "/p/vm.overlay-a"),
    *("/p/vm.log", "/p/vm.receipt"),
)
UUID = "6b1f7c2e-3c39-4a0e-9f3f-0d8f5b1a7c11"
# What XML 1.0 can hold: marks are ours, but a template's name came from a person.
OPERATION = "0123456789abcdef"
IDS = st.sampled_from(["", OPERATION, "f" * 16])
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=40)


def spec(*cards: Interface) -> VMSpec:
    return VMSpec("web01", UUID, TEMPLATE, 256 << 20, 2, 1 << 30, cards)


def delivery(carrier: Carrier, **parts: Any) -> Delivery:
    return Delivery("l", carrier, "sha256:" + "0" * 64, "n", **parts)


@pytest.fixture
def connection() -> Iterator[libvirt.virConnect]:
    connection = libvirt.open("test:///default")
    yield connection
    for domain in connection.listAllDomains():  # they live as long as the process
        if domain.name() != "test":
            domain.undefine()
    connection.close()


def test_libvirt_accepts_the_domain_and_gives_back_what_went_in(
    connection: libvirt.virConnect,
) -> None:
    mark = Mark("store", OPERATION, UUID, template="<&>\"'")
    cards = (
        Interface(network="default", mac="52:54:00:00:00:01"),
        Interface(network="bridge:br0", mac="52:54:00:00:00:02"),
        Interface(network="user", mac="52:54:00:00:00:03"),
    )
    xml = build(spec(*cards), mark, PATHS, delivery(Carrier.ISO), accelerated=False)
    # The test driver knows only its own type of domain.
    xml = xml.replace('type="qemu"', 'type="test"', 1)
    domain = connection.defineXML(xml)
    assert domain.name() == "web01"
    assert domain.UUIDString() == UUID
    assert read_mark(domain) == mark
    assert read_storage(domain) == "p"
    assert cards_of(domain.XMLDesc()) == {
        "52:54:00:00:00:01": "default",
        "52:54:00:00:00:02": "",
        "52:54:00:00:00:03": "",
    }


def test_a_second_medium_has_a_drive_of_its_own(connection: libvirt.virConnect) -> None:
    mark = Mark("store", OPERATION, UUID)
    two = delivery(Carrier.ISO, medium=b"1", overlay=b"2")
    xml = build(spec(), mark, PATHS, two, accelerated=False).replace('"qemu"', '"test"', 1)
    read = fromstring(connection.defineXML(xml).XMLDesc())
    assert [
        (disk.find("target").get("dev"), disk.find("source").get("file"))  # type: ignore[union-attr]
        for disk in read.iterfind("devices/disk[@device='cdrom']")
    ] == [("sda", PATHS.seed), ("sdb", PATHS.overlay)]


def test_a_value_of_the_firmware_s_tables_comes_back(connection: libvirt.virConnect) -> None:
    serial = "ds=nocloud-net;s=http://192.0.2.1/a,b/%41&'/;h=web-1"
    told = delivery(Carrier.SMBIOS, values={"serial": serial})
    mark = Mark("store", OPERATION, UUID)
    xml = build(spec(), mark, PATHS, told, accelerated=False).replace('"qemu"', '"test"', 1)
    read = fromstring(connection.defineXML(xml).XMLDesc())
    assert read.findtext("sysinfo/system/entry[@name='serial']") == serial
    assert read.find("os/smbios[@mode='sysinfo']") is not None
    assert read.find("devices/disk[@device='cdrom']") is None


@given(
    store=TEXT,
    operation=IDS,
    addresses=TEXT,
    template=TEXT,
    digest=TEXT,
    nonce=TEXT,
    complete=st.booleans(),
)
def test_any_mark_comes_back_as_it_was(**values: Any) -> None:
    mark = Mark(vm=UUID, **values)
    assert mark_from(ET.tostring(mark_element(mark, qualified=True), encoding="unicode")) == mark


def test_a_mark_is_replaced_in_libvirt(connection: libvirt.virConnect) -> None:
    xml = "<domain type='test'><name>t</name><memory>8</memory><os><type>hvm</type></os></domain>"
    domain = connection.defineXML(xml)
    assert read_mark(domain) is None
    for complete in (False, True):
        mark = Mark("store", OPERATION, domain.UUIDString(), complete=complete, template="t")
        write_mark(domain, mark)
        assert read_mark(domain) == mark
    write_mark(domain, Mark("store", OPERATION, UUID))
    assert read_mark(domain) is None, "it was copied from another VM"


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "<mark",
        "<mark/>",
        "<mark status='complete' store='s'/>",
        "<mark status='complete' store='s' operation='b-0123456789abcdef' vm='v'/>",
        "<!DOCTYPE m [<!ENTITY e SYSTEM 'file:///etc/shadow'>]><mark status='&e;'/>",
    ],
)
def test_what_is_not_our_mark_is_no_mark(hostile: str) -> None:
    assert mark_from(hostile) is None


def test_a_field_that_a_newer_ims_added_to_a_mark_is_ignored() -> None:
    newer = "<mark status='complete' store='s' operation='0123456789abcdef' vm='v' colour='blue'/>"
    assert mark_from(newer) == Mark("s", OPERATION, "v", complete=True)


def test_every_state_and_reason_libvirt_has_maps_to_exactly_one_of_ours() -> None:
    states = {
        value
        for name, value in vars(libvirt).items()
        if name.startswith("VIR_DOMAIN_") and name.removeprefix("VIR_DOMAIN_") in KNOWN_STATES
    }
    assert states == set(STATES)
    assert {state for state, _ in REASONS} <= states
    for state in states:
        for reason in range(20):
            assert isinstance(state_of(state, reason), State)
    assert state_of(99, 0) is State.UNKNOWN
    assert [state_of(state, 0) for state in range(8)] == [
        State.UNKNOWN,
        State.RUNNING,
        State.RUNNING,
        State.PAUSED,
        State.STOPPING,
        State.STOPPED,
        State.CRASHED,
        State.PAUSED,
    ]
    assert state_of(libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED) is State.CRASHED


def test_a_domain_is_suspended_exactly_when_libvirt_would_wake_it_up() -> None:
    off = libvirt.VIR_DOMAIN_SHUTOFF
    for reason in (libvirt.VIR_DOMAIN_SHUTOFF_SAVED, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN):
        assert state_of(off, reason, saved=True) is State.SUSPENDED
        assert state_of(off, reason) is State.STOPPED
    assert state_of(libvirt.VIR_DOMAIN_RUNNING, 0, saved=True) is State.RUNNING


KNOWN_STATES = {
    "NOSTATE", "RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED", "PMSUSPENDED",
}  # fmt: skip


def test_the_test_drivers_domain_is_seen_with_state_and_counters() -> None:
    settings = KvmProvider.settings()(uri="test:///default", storage_pool="default-pool")
    with KvmProvider.open(settings.model_dump()) as provider:
        (vm,) = provider.inspect()
        assert (vm.name, vm.state, vm.mark) == ("test", State.RUNNING, None)
        assert provider.inspect(["nosuch"]) == []
        (metrics,) = provider.metrics()
        assert (metrics.name, metrics.vcpus) == ("test", None), "that driver does not tell"


def test_a_metric_that_is_not_reported_is_none_and_devices_are_added_up() -> None:
    nothing = metrics_from("n", "u", {}, 1.0)
    assert (nothing.cpu_seconds, nothing.disk_read_bytes, nothing.net_rx_bytes) == (None,) * 3
    some = metrics_from(
        "n",
        "u",
        {
            "cpu.time": 2_500_000_000,
            "balloon.current": 4096,
            "balloon.available": 4000,
            "balloon.unused": 1000,
            "block.count": 3,
            "block.0.rd.bytes": 5,
            "block.2.rd.bytes": 7,
        },
        1.0,
    )
    assert some.cpu_seconds == 2.5
    assert some.memory_used_bytes == 3000 * 1024
    assert some.memory_max_bytes == 4096 * 1024
    assert some.disk_read_bytes == 12
    assert some.disk_write_bytes is None


def test_the_uri_is_the_configured_one_then_the_environments_then_what_is_reachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    assert choose_uri("qemu:///session") == "qemu:///session"
    assert choose_uri("") == "test:///default"
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI")
    monkeypatch.setattr("ims_kvm.connection.SYSTEM_SOCKETS", ("/nonexistent",))
    assert choose_uri("") == "qemu:///session"


def test_a_directory_that_is_closed_to_qemu_s_user_is_found() -> None:
    nobody = 64_055
    with TemporaryDirectory(dir="/var/tmp") as name:  # whose parents are open to all
        closed = Path(name)
        inner = closed / "images"
        inner.mkdir()
        closed.chmod(0o755)
        assert _closed_to(inner, nobody, nobody) is None
        closed.chmod(0o750)
        assert _closed_to(inner, nobody, nobody) == closed
        assert _closed_to(inner, nobody, closed.stat().st_gid) is None
        assert _closed_to(inner, 0, 0) is None


def test_a_link_that_could_not_be_made_anew_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link("test:///default")
    link.live.close()
    with monkeypatch.context() as down:
        down.setattr("ims_kvm.connection.connect", _nobody)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                _ = link.live
    assert link.live.isAlive()
    link.close()


def _nobody(_uri: str) -> None:
    raise UnavailableError("nobody answers")


def test_check_says_why_files_cannot_be_put_into_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ims_guestfs.unavailable", lambda: "")
    missing = tmp_path / "missing"
    denied = f"this user may not change the images in {missing}"
    words = {
        ("qemu:///system", tmp_path): "usable",
        ("qemu:///system", missing): f"unavailable: {denied}",
        ("qemu+ssh://host/system", tmp_path): "unavailable: only on the hypervisor's own host",
    }
    for (uri, directory), message in words.items():
        found = availability(uri, directory)
        assert (found.message, found.ok) == (message, True)
