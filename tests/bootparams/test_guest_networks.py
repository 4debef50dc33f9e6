"""What the guest program tells each network manager, as that manager's own tools read it.

NetworkManager's and systemd-networkd's files have no judge here that runs without their daemons.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_bootparams import guest
from ims_bootparams.layouts.bootparams import render
from ims_bootparams.receipt import parse_receipt
from ims_core.models import Interface
from tests.bootparams import contexts
from tests.bootparams.debs import unpacked
from tests.bootparams.helpers import run, write_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CARDS = (
    replace(contexts.full().interfaces[0], gateways=("192.0.2.1", "2001:db8::1")),
    Interface(mac=contexts.DHCP_MAC),
)
SYSTEM = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "sys/class/net/testnic0/address": contexts.MAC.encode() + b"\n",
    "sys/class/net/testnic1/address": contexts.DHCP_MAC.encode() + b"\n",
}
MANAGERS = {
    "netplan": {"etc/netplan/50-other.yaml": b"", "usr/sbin/netplan": b"#!"},
    "networkmanager": {
        "etc/NetworkManager/system-connections/other.nmconnection": b"",
        "usr/sbin/NetworkManager": b"#!",
    },
    "networkd": {
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": b"",
        "etc/systemd/network/80-other.network": b"",
    },
    "ifupdown": {"etc/network/interfaces": b"auto eth9\n", "sbin/ifup": b"#!"},
}


def apply(
    shell: list[str], tmp_path: Path, system: dict[str, bytes], cards: Sequence[Interface]
) -> tuple[Path, dict[str, str]]:
    """The root of a machine that was told of cards, and each item's message, or ``ok``."""
    program = tmp_path / "ims-context"
    program.write_bytes(guest.program())
    root = write_files(tmp_path / "root", SYSTEM | system)
    for path in (*root.glob("usr/sbin/*"), *root.glob("sbin/*")):
        path.chmod(0o755)
    files = render(replace(contexts.small(), interfaces=tuple(cards)))
    medium = write_files(tmp_path / "medium", {**files, "ims.nonce": b"n\n"})
    words = [*shell, program, "--root", root, "--act", "--medium", medium]
    status = subprocess.run([str(word) for word in words], check=False).returncode
    receipt = parse_receipt((root / "run/ims/receipt").read_bytes())
    assert receipt
    said = {item.name: "ok" if item.ok else item.message for item in receipt.items}
    assert status == (0 if set(said.values()) == {"ok"} else 1)
    return root, said


@pytest.fixture
def told(shell: list[str], tmp_path: Path) -> Callable[..., Path]:
    """Applies cards to a machine with that manager; returns its root."""

    def told(manager: str, *cards: Interface) -> Path:
        root, said = apply(shell, tmp_path, MANAGERS[manager], cards or CARDS)
        assert set(said.values()) == {"ok"}
        assert "network" in said
        return root

    return told


def failures(said: dict[str, str]) -> dict[str, str]:
    return {name: message for name, message in said.items() if message != "ok"}


def commands(root: Path) -> list[str]:
    return (root / "run/ims/commands").read_text().splitlines()


def test_netplan_makes_of_it_what_is_meant(told: Callable[..., Path]) -> None:
    root = told("netplan")
    assert (root / "etc/netplan/60-ims.yaml").stat().st_mode & 0o777 == 0o600
    assert "netplan apply" in commands(root)
    try:
        tree = unpacked("netplan", "netplan.io", "libnetplan0", "libyaml-0-2")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Debian's netplan cannot be had: {error}")
    other = root / "etc/netplan/50-other.yaml"
    other.write_text("network: {version: 2, ethernets: {ens3: {dhcp4: true}}}\n")
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    done = subprocess.run(
        [next(tree.rglob("netplan/generate")), "--root-dir", root],
        env=os.environ | {"LD_LIBRARY_PATH": str(libraries)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    networks = sorted(p.name for p in (root / "run/systemd/network").glob("*.network"))
    assert networks[-1] == "10-netplan-ens3.network", "the template's own comes after ours"
    made = "\n".join((root / "run/systemd/network" / name).read_text() for name in networks[:-1])
    for line in (
        *("Address=192.0.2.10/24", "Address=2001:db8::10/64", "DHCP=ipv4"),
        *("Destination=0.0.0.0/0", "Gateway=192.0.2.1", "Destination=::/0", "Gateway=2001:db8::1"),
        *("DNS=192.0.2.53", "DNS=2001:db8::53", "Domains=example.org example.com", "Metric=100"),
    ):
        assert line in made.splitlines()


def test_ifupdown_makes_of_it_what_is_meant(told: Callable[..., Path]) -> None:
    root = told("ifupdown")
    interfaces = root / "etc/network/interfaces"
    assert (root / "etc/network/interfaces.before-ims").read_text() == "auto eth9\n"
    assert {"ifup testnic0", "ifup testnic1"} <= set(commands(root))
    assert "nameserver 192.0.2.53" in (root / "etc/resolv.conf").read_text()
    try:
        tree = unpacked("ifupdown", "ifupdown")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Debian's ifupdown cannot be had: {error}")
    ifquery = tree / "sbin/ifquery"
    listed = run(ifquery, "--no-scripts", "-i", interfaces, "--list", "-a").decode().split()
    assert listed == ["lo", "testnic0", "testnic1"]
    shown = run(ifquery, "-i", interfaces, "testnic0").decode()
    for line in ("address: 192.0.2.10", "netmask: 255.255.255.0", "gateway: 192.0.2.1",
                 "address: 2001:db8::10", "netmask: 64", "gateway: 2001:db8::1",
                 "metric: 100"):  # fmt: skip
        assert line in [text.replace("\t", " ") for text in shown.splitlines()]


def test_busybox_s_ifup_makes_of_it_what_is_meant(told: Callable[..., Path]) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("there is no busybox")
    root = told("ifupdown", CARDS[0])
    path = root / "etc/network/interfaces"
    done = subprocess.run(
        ["busybox", "ifup", "-n", "-v", "-f", "-i", path, "testnic0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    for words in ("ip addr add 192.0.2.10/24", "ip addr add 2001:db8::10/64",
                  "ip route add default via 192.0.2.1"):  # fmt: skip
        assert words in said
    help_text = subprocess.run(["busybox", "ifdown", "--help"], capture_output=True, text=True,
                               check=False)  # fmt: skip
    assert "-f" in help_text.stdout + help_text.stderr
    assert "ifdown -f testnic0" in commands(root)


@pytest.mark.parametrize(("prefix", "mask"), [(32, "255.255.255.255"), (20, "255.255.240.0"),
                                              (1, "128.0.0.0")])  # fmt: skip
def test_a_prefix_length_becomes_a_mask(told: Callable[..., Path], prefix: int, mask: str) -> None:
    root = told("ifupdown", Interface(mac=contexts.MAC, addresses=(f"192.0.2.10/{prefix}",)))
    assert f"    netmask {mask}\n" in (root / "etc/network/interfaces").read_text()


def test_a_card_that_is_not_there_does_not_keep_the_others_back(
    shell: list[str], tmp_path: Path
) -> None:
    cards = (Interface(mac="52:54:00:00:00:99"), CARDS[0])
    root, said = apply(shell, tmp_path, MANAGERS["ifupdown"], cards)
    assert failures(said) == {"network": "not there, or cannot be set: 52:54:00:00:00:99"}
    assert "iface testnic0 inet static" in (root / "etc/network/interfaces").read_text()


def test_no_card_at_all_leaves_everything_as_it_was(shell: list[str], tmp_path: Path) -> None:
    cards = (Interface(mac="52:54:00:00:00:99"),)
    root, said = apply(shell, tmp_path, MANAGERS["ifupdown"], cards)
    assert failures(said) == {"network": "no network card has the address 52:54:00:00:00:99"}
    assert (root / "etc/network/interfaces").read_bytes() == b"auto eth9\n"


def test_what_was_there_is_kept_once(told: Callable[..., Path]) -> None:
    told("ifupdown")
    root = told("ifupdown", Interface(mac=contexts.MAC))
    text = (root / "etc/network/interfaces").read_text()
    # The second run began with what the test wrote anew; the first copy is of the same.
    assert (root / "etc/network/interfaces.before-ims").read_text() == "auto eth9\n"
    assert "iface testnic0 inet dhcp" in text
    assert "testnic1" not in text


def test_networkmanager_is_told_by_files_of_ours_alone(told: Callable[..., Path]) -> None:
    root = told("networkmanager")
    folder = root / "etc/NetworkManager/system-connections"
    assert sorted(p.name for p in folder.iterdir()) == [
        "ims-0.nmconnection", "ims-1.nmconnection", "other.nmconnection",
    ]  # fmt: skip
    assert {p.stat().st_mode & 0o777 for p in folder.glob("ims-*")} == {0o600}
    first, second = configparser.ConfigParser(), configparser.ConfigParser()
    first.read(folder / "ims-0.nmconnection")
    second.read(folder / "ims-1.nmconnection")
    assert first["ethernet"]["mac-address"] == contexts.MAC
    assert dict(first["ipv4"]) == {
        "address1": "192.0.2.10/24", "gateway": "192.0.2.1", "route-metric": "100",
        "dns": "192.0.2.53;", "dns-search": "example.org;example.com;", "method": "manual",
    }  # fmt: skip
    assert first["ipv6"]["address1"] == "2001:db8::10/64"
    assert first["ipv6"]["method"] == "manual"
    assert (second["ipv4"]["method"], second["ipv6"]["method"]) == ("auto", "auto")
    assert "nmcli connection up ims-0" in commands(root)
    told("networkmanager", Interface(mac=contexts.MAC))
    assert not (folder / "ims-1.nmconnection").exists(), "what is no longer wanted goes"
    assert (folder / "other.nmconnection").exists()


def test_networkmanager_permits_what_it_is_told(told: Callable[..., Path]) -> None:
    """Of a card without IPv4 it takes nothing under [ipv4] but the word disabled."""
    card = Interface(
        mac=contexts.MAC,
        addresses=("2001:db8::10/64",),
        gateways=("2001:db8::1",),
        nameservers=("192.0.2.53", "2001:db8::53"),
        search=("example.org",),
    )
    root = told("networkmanager", card)
    file = configparser.ConfigParser()
    file.read(root / "etc/NetworkManager/system-connections/ims-0.nmconnection")
    assert dict(file["ipv4"]) == {"method": "disabled"}
    assert file["ipv6"]["dns-search"] == "example.org;"
    assert file["ipv6"]["dns"] == "2001:db8::53;"


def test_networkd_is_told_by_files_of_ours_alone(told: Callable[..., Path]) -> None:
    root = told("networkd")
    folder = root / "etc/systemd/network"
    first = (folder / "05-ims-0.network").read_text().splitlines()
    for line in (
        *(f"MACAddress={contexts.MAC}", "Address=192.0.2.10/24", "Address=2001:db8::10/64"),
        *("DNS=192.0.2.53", "Domains=example.org example.com", "Gateway=192.0.2.1"),
        *("Gateway=2001:db8::1", "Metric=100"),
    ):
        assert line in first
    assert "DHCP=yes" in (folder / "05-ims-1.network").read_text()
    assert "networkctl reload" in commands(root)
    told("networkd", Interface(mac=contexts.MAC))
    assert sorted(p.name for p in folder.iterdir()) == ["05-ims-0.network", "80-other.network"]


def test_a_machine_without_a_manager_is_set_directly(shell: list[str], tmp_path: Path) -> None:
    root, said = apply(shell, tmp_path, {}, CARDS)
    assert set(said.values()) == {"ok"}
    assert "ip addr add 192.0.2.10/24 dev testnic0" in commands(root)
    assert not list(root.glob("etc/n*"))


@pytest.mark.parametrize("static", [True, False])
def test_what_the_other_method_left_on_a_card_goes(
    shell: list[str], tmp_path: Path, static: bool
) -> None:
    client = {"run/ims/dhcp.testnic0.pid": b"4711\n"}
    card = CARDS[0] if static else Interface(mac=contexts.MAC)
    root, said = apply(shell, tmp_path, client, (card,))
    assert set(said.values()) == {"ok"}
    ran = commands(root)
    begun = ran.index("ip link set testnic0 up")
    assert ran[begun + 1 : begun + 3] == ["kill 4711", "ip addr flush dev testnic0 scope global"]
