from __future__ import annotations

import base64
import json
import subprocess
from collections import defaultdict
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ims_bootparams.layouts.cloud_init.config import PROPERTIES_FILE, STEP
from ims_bootparams.media import build
from ims_core.errors import InvalidError
from ims_core.models import Carrier, Context, Interface, User
from ims_core.registry import layout
from tests.bootparams import contexts
from tests.bootparams.debs import unpacked
from tests.bootparams.helpers import run
from tests.bootparams.judges import probed, read_back

if TYPE_CHECKING:
    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("configdrive-v1")
INTERFACES = "etc/network/interfaces"
MESSAGE = b"Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x--\n"


@pytest.fixture(scope="session")
def ifquery() -> Path:
    """What says how Debian's ifupdown understands a file; it changes nothing."""
    try:
        return unpacked("ifupdown", "ifupdown") / "sbin/ifquery"
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Debian's ifupdown cannot be had: {error}")


def queried(ifquery: Path, context: Context) -> dict[str, dict[str, list[str]]]:
    """Each card's options as ifupdown has them, in the order in which they come."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "interfaces")
        path.write_bytes(LAYOUT.render(context)[INTERFACES])
        cards: dict[str, dict[str, list[str]]] = {}
        for name in run(ifquery, "--no-scripts", "-i", path, "--list", "-a").decode().split():
            options = cards.setdefault(name, defaultdict(list))
            for line in run(ifquery, "-i", path, name).decode().splitlines():
                option, _, value = line.partition(": ")
                options[option].append(value)
    return cards


def test_ifupdown_makes_of_the_cards_what_is_meant(ifquery: Path) -> None:
    cards = queried(ifquery, contexts.full())
    assert list(cards) == ["lo", "eth0", "eth1"]
    static = cards["eth0"]
    assert static["address"] == ["192.0.2.10", "2001:db8::10"]
    assert static["netmask"] == ["255.255.255.0", "64"]
    assert static["gateway"] == ["192.0.2.1", "fe80::1"]
    assert static["dns-nameservers"] == ["192.0.2.53 2001:db8::53"]
    assert static["dns-search"] == ["example.org example.com"]
    assert "address" not in cards["eth1"]
    text = LAYOUT.render(contexts.full())[INTERFACES].decode()
    assert "\niface eth1 inet dhcp\n" in text


ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(1, 32)),
    st.tuples(st.ip_addresses(v=6), st.integers(1, 128)),
).map(lambda pair: f"{pair[0]}/{pair[1]}")


def _is_a_networks(text: str) -> bool:
    """Whether it is no host's (RFC 1122, section 3.2.1.3, and RFC 3021)."""
    host, _, length = text.partition("/")
    if ":" in host or int(length) > 30:
        return False
    bits = f"{int(ip_interface(host).ip):032b}"[int(length) :]
    return len(set(bits)) == 1


def test_any_static_address_comes_back_from_ifupdown(ifquery: Path) -> None:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(ADDRESSES, min_size=1, max_size=4, unique=True))
    def comes_back(addresses: list[str]) -> None:
        card = Interface(mac=contexts.MAC, addresses=tuple(addresses))
        context = replace(contexts.small(), interfaces=(card,))
        assume(not any(map(_is_a_networks, addresses)))
        options = queried(ifquery, context)["eth0"]
        read = [
            ip_interface("/".join(pair))
            for pair in zip(options["address"], options["netmask"], strict=True)
        ]
        assert read == [ip_interface(address) for address in addresses]

    comes_back()


def test_a_gateway_is_told_once_for_each_ip_version(ifquery: Path) -> None:
    addresses = ("192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64", "2001:db8::11/64")
    card = Interface(mac=contexts.MAC, addresses=addresses, gateways=("fe80::1", "192.0.2.1"))
    options = queried(ifquery, replace(contexts.small(), interfaces=(card,)))["eth0"]
    assert options["gateway"] == ["192.0.2.1", "fe80::1"]


def test_a_machine_without_cards_asks_dhcp_on_its_first(ifquery: Path) -> None:
    assert list(queried(ifquery, contexts.small())) == ["lo", "eth0"]
    assert LAYOUT.render(contexts.small())[INTERFACES].count(b"iface lo inet loopback\n") == 1
    assert b"\niface eth0 inet dhcp\n" in LAYOUT.render(contexts.small())[INTERFACES]


def test_cloud_init_reads_every_field_of_a_context(cloud_init: CloudInit, tmp_path: Path) -> None:
    context = contexts.full()
    (seen,) = cloud_init.read(tmp_path, "configdrive-v1", context)
    assert (seen["version"], seen["dsmode"]) == (1, "local")
    assert seen["meta_data"]["instance-id"] == context.instance_id
    assert seen["public_keys"] == list(context.ssh_keys)
    assert seen["config"]["hostname"] == context.hostname
    assert [user["name"] for user in seen["config"]["users"][1:]] == ["alice", "bob"]
    assert seen["config"]["ssh_keys"]["ed25519_private"] == contexts.HOST_KEY.private
    files = {path: base64.b64decode(content) for path, content in seen["files"].items()}
    assert json.loads(files[PROPERTIES_FILE]) == {**context.properties, **context.secrets}
    assert files[context.files[0].path] == context.files[0].content
    assert seen["config"]["runcmd"][2] == ["sh", STEP, "scripts.0", "/var/lib/ims/scripts/0000"]


def test_the_keys_are_lines_of_root_s_authorized_keys_too() -> None:
    rendered = LAYOUT.render(contexts.full())
    lines = rendered["root/.ssh/authorized_keys"].decode().splitlines()
    assert lines == list(contexts.full().ssh_keys)
    assert set(LAYOUT.render(contexts.small())) == {"meta.js", INTERFACES}


def test_raw_user_data_goes_beside_the_host_name_and_the_default_user(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    raw = b"#!/bin/sh\n\0\xff\r\nprintf x"
    context = replace(
        contexts.small(), user_data=raw, default_user="bob", users=(User("bob"), User("alice"))
    )
    (seen,) = cloud_init.read(tmp_path, "configdrive-v1", context)
    [[kind, script]] = seen["others"]
    assert (kind, base64.b64decode(script)) == ("text/x-shellscript", raw)
    assert seen["config"]["hostname"] == "web-1"
    assert seen["accounts"]["default"] == "bob"
    assert "alice" in seen["accounts"]["users"]


def test_user_data_beside_which_no_host_name_can_be_told_is_refused() -> None:
    with pytest.raises(InvalidError, match=r"context\.user_data: .*MIME") as caught:
        LAYOUT.render(replace(contexts.small(), user_data=MESSAGE))
    assert "hostname" in caught.value.hint


CONTEXTS = st.builds(
    lambda values, keys, raw: replace(
        contexts.small(),
        properties={f"p{index}": value for index, value in enumerate(values)},
        secrets={"s": values[0]},
        ssh_keys=tuple(f"ssh-rsa AAAA {comment}." for comment in keys),
        user_data=raw,
    ),
    st.lists(contexts.VALUES, min_size=1, max_size=12),
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40),
        max_size=3,
    ),
    st.none() | st.binary(max_size=100).map(lambda raw: b"#!/bin/sh\n" + raw),
)


def test_any_value_comes_back_from_cloud_init(cloud_init: CloudInit) -> None:
    @settings(max_examples=4, deadline=None)
    @given(st.lists(CONTEXTS, min_size=10, max_size=20))
    def comes_back(given: list[Context]) -> None:
        with TemporaryDirectory() as folder:
            found = cloud_init.read(Path(folder), "configdrive-v1", *given)
        for context, seen in zip(given, found, strict=True):
            values = json.loads(base64.b64decode(seen["files"][PROPERTIES_FILE]))
            assert values == {**context.properties, **context.secrets}
            assert seen["public_keys"] == list(context.ssh_keys)
            if context.user_data is not None:
                [[_, script]] = seen["others"]
                assert base64.b64decode(script) == context.user_data

    comes_back()


def test_the_disk_is_as_stratuslab_s_and_foreign_programs_read_it(tmp_path: Path) -> None:
    files = LAYOUT.render(contexts.full())
    image = build(Carrier.FAT_DISK, files, LAYOUT.label)
    assert {"LABEL=_CLOUD_INIT", "TYPE=vfat"} <= probed(image, tmp_path)
    assert read_back(Carrier.FAT_DISK, image) == files


def test_the_layout_says_how_it_is_found_and_that_nobody_answers() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("configdrive-v1", "_CLOUD_INIT", False)
    assert LAYOUT.carriers == (Carrier.FAT_DISK,)
    assert not LAYOUT.answers(contexts.small())
