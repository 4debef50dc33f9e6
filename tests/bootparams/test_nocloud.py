from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ims_bootparams.layouts.nocloud import LAYOUT, PROPERTIES_FILE, render
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Interface, Script, User
from tests.bootparams import contexts
from tests.bootparams.helpers import write_files
from tests.labs import cache

#: cloud-init as Debian has it, and what it imports; it is on no other index.
PACKAGES = (
    *(
        "cloud-init",
        "python3-attr",
        "python3-certifi",
        "python3-chardet",
        "python3-configobj",
        "python3-idna",
        "python3-jinja2",
        "python3-jsonpatch",
    ),
    *("python3-json-pointer", "python3-jsonschema", "python3-markupsafe", "python3-netifaces"),
    *("python3-oauthlib", "python3-pyrsistent", "python3-requests", "python3-six"),
    *("python3-urllib3", "python3-yaml"),
)
READER = Path(__file__).with_name("cloud_init_reader.py")


def unpack_packages(directory: Path) -> None:
    debs = directory / "debs"
    debs.mkdir()
    subprocess.run(
        ["apt-get", "download", *PACKAGES], cwd=debs, check=True, timeout=120, capture_output=True
    )
    for deb in debs.iterdir():
        subprocess.run(["dpkg-deb", "-x", deb, directory], check=True, capture_output=True)
    shutil.rmtree(debs)


@pytest.fixture(scope="session")
def cloud_init() -> dict[str, str]:
    """The environment in which Python imports the real cloud-init."""
    try:
        tree = cache.entry("cloud-init", cache.key(*PACKAGES), unpack_packages)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Debian's cloud-init cannot be had: {error}")
    return os.environ | {"PYTHONPATH": str(tree / "usr/lib/python3/dist-packages")}


def read(cloud_init: dict[str, str], directory: Path, *media: Context) -> list[dict[str, Any]]:
    """What the real cloud-init reads from these media."""
    trees = [
        write_files(directory / str(index), render(context)) for index, context in enumerate(media)
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", READER, *trees],
        env=cloud_init, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: list[dict[str, Any]] = json.loads(done.stdout)
    return result


def test_cloud_init_reads_every_field_of_a_context(
    cloud_init: dict[str, str], tmp_path: Path
) -> None:
    context = contexts.full()
    (seen,) = read(cloud_init, tmp_path, context)
    assert seen["meta_data"]["instance-id"] == context.instance_id
    assert seen["meta_data"]["local-hostname"] == context.hostname
    assert seen["public_keys"] == list(context.ssh_keys)
    assert seen["config"]["users"] == [
        "default",
        {
            "name": "alice",
            "ssh_authorized_keys": ["ssh-ed25519 CCCC a"],
            "hashed_passwd": contexts.HASH,
            "lock_passwd": False,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
        },
        {"name": "bob"},
    ]
    files = {path: base64.b64decode(content) for path, content in seen["files"].items()}
    properties = json.loads(files.pop(PROPERTIES_FILE))
    assert properties == {**context.properties, **context.secrets}
    assert files == {
        context.files[0].path: b"\0\xff\n'",
        "/motd": b"",
        "/var/lib/ims/scripts/0000": context.scripts[0].content,
        "/var/lib/ims/scripts/0001": context.scripts[1].content,
    }
    modes = {entry["path"]: entry["permissions"] for entry in seen["config"]["write_files"]}
    assert modes[PROPERTIES_FILE] == "0600"
    assert modes["/var/lib/ims/scripts/0000"] == "0700"
    assert seen["script"].splitlines()[1:] == [
        "'/var/lib/ims/scripts/0000'",
        "'/var/lib/ims/scripts/0001'",
    ]


def test_cloud_init_gives_the_keys_to_the_default_user_that_the_context_names(
    cloud_init: dict[str, str], tmp_path: Path
) -> None:
    context = replace(contexts.small(), ssh_keys=("ssh-ed25519 A",), users=(User("alice"),))
    user = User("bob", ("ssh-ed25519 B",), contexts.HASH)
    media = read(
        cloud_init, tmp_path, context,
        replace(context, default_user="bob"),
        replace(context, default_user="bob", users=(User("alice"), user)),
        replace(context, default_user="bob", users=()),
        replace(context, default_user="root"),
    )  # fmt: skip
    image, named, described, alone, root = (seen["accounts"] for seen in media)
    assert list(image["users"]) == ["alice", "debian"]
    assert image["default"] == "debian"
    for seen in (named, described, alone):
        assert seen["default"] == "bob"
        assert "debian" not in seen["users"]
        assert seen["key_options"]["bob"] == ""
        assert seen["key_options"]["root"].startswith("no-port-forwarding")
        assert "sudo" in seen["users"]["bob"]["groups"]  # as the image has it for its own
    assert list(named["users"]) == ["alice", "bob"]
    assert list(alone["users"]) == ["bob"]
    bob = described["users"]["bob"]
    assert (bob["hashed_passwd"], bob["lock_passwd"]) == (contexts.HASH, False)
    assert bob["ssh_authorized_keys"] == ["ssh-ed25519 B"]
    assert root["key_options"]["root"] == ""
    assert "root" not in root["users"]  # so nothing of it is changed but its keys


def test_raw_user_data_stays_as_it_is_beside_a_default_user() -> None:
    context = replace(contexts.small(), user_data=b"raw", default_user="bob")
    assert render(context)["user-data"] == b"raw"


def test_cloud_init_s_renderers_give_the_cards_their_addresses_and_gateways(
    cloud_init: dict[str, str], tmp_path: Path
) -> None:
    (seen,) = read(cloud_init, tmp_path, contexts.full())
    network = seen["network"]
    for line in (
        *("iface ens3 inet static", "address 192.0.2.10/24", "gateway 192.0.2.1"),
        *("iface ens3 inet6 static", "address 2001:db8::10/64", "gateway fe80::1"),
        *("dns-nameservers 192.0.2.53 2001:db8::53", "iface ens4 inet dhcp"),
    ):
        assert line in [text.strip() for text in network["eni"].splitlines()]
    for line in (
        *("MACAddress=52:54:00:12:34:56", "Address=192.0.2.10/24", "Address=2001:db8::10/64"),
        *("Gateway=192.0.2.1", "Gateway=fe80::1", "DNS=192.0.2.53 2001:db8::53", "DHCP=ipv4"),
        *("Domains=example.org example.com", "MACAddress=52:54:00:12:34:57"),
    ):
        assert line in network["networkd"].splitlines()
    assert "Destination" not in network["networkd"]  # one that is wrong would be worse than none
    assert yaml.safe_load(network["netplan"])["network"] == yaml.safe_load(
        render(contexts.full())["network-config"]
    )


def test_cloud_init_gets_any_character_of_a_key_and_a_path_back(
    cloud_init: dict[str, str], tmp_path: Path
) -> None:
    odd = "".join(map(chr, [*range(0xA0, 0x2028), 0x202A, 0xFEFF, 0xFFFD, 0xFFFF, 0x10FFFF]))
    keys = (
        f"ssh-ed25519 A {odd}",
        "yes",
        "- x: 1",
        "#x",
        "null",
        "1.5",
        "{a",
        "'",
        '"',
        "a: b",
        "=",
    )
    paths = ("/\x01\x1b\x7f\x80\x85\x9f", "/\u2028 #: \n", "/~", "/\ufeff\U0001f642")
    context = replace(
        contexts.small(), ssh_keys=keys, files=tuple(File(path, b"x") for path in paths)
    )
    (seen,) = read(cloud_init, tmp_path, context)
    assert seen["public_keys"] == list(keys)
    assert tuple(seen["files"]) == paths


def test_cloud_init_gets_raw_user_data_byte_for_byte_with_keys_and_network_beside_it(
    cloud_init: dict[str, str], tmp_path: Path
) -> None:
    raw = b"#!/bin/sh\n\0\xff\r\nprintf x"
    context = replace(
        contexts.small(),
        user_data=raw,
        ssh_keys=("ssh-ed25519 A",),
        interfaces=(Interface(mac=contexts.MAC),),
    )
    plain, empty = read(cloud_init, tmp_path, context, contexts.small())
    assert base64.b64decode(plain["user_data"]) == raw
    assert plain["public_keys"] == ["ssh-ed25519 A"]
    assert "DHCP=ipv4" in plain["network"]["networkd"]
    assert empty["config"] == {}
    assert "network" not in empty


@given(contexts.VALUES)
def test_any_value_comes_back_as_yaml_and_json(value: str) -> None:
    context = replace(contexts.small(), properties={"p": value}, secrets={"s": value})
    user_data = render(context)["user-data"]
    (entry,) = yaml.safe_load(user_data)["write_files"]
    assert json.loads(base64.b64decode(entry["content"])) == {"p": value, "s": value}
    assert user_data.isascii()
    assert user_data.startswith(b"#cloud-config\n")


@given(st.binary(max_size=200))
def test_any_content_of_a_file_comes_back(content: bytes) -> None:
    context = replace(contexts.small(), files=(File("/a", content),))
    (entry,) = yaml.safe_load(render(context)["user-data"])["write_files"]
    assert base64.b64decode(entry["content"]) == content


@pytest.mark.parametrize(
    ("owner", "deferred"),
    [("root:root", False), ("root", False), ("bob", True), ("root:adm", True)],
)
def test_a_file_waits_for_the_user_who_shall_own_it(owner: str, *, deferred: bool) -> None:
    context = replace(contexts.small(), files=(File("/a", b"", owner=owner),))
    (entry,) = yaml.safe_load(render(context)["user-data"])["write_files"]
    assert entry.get("defer", False) is deferred


@pytest.mark.parametrize(
    "fields",
    [
        {"users": (User("a"),)},
        {"files": (File("/a", b""),)},
        {"scripts": (Script("a", b""),)},
        {"properties": {"a": "b"}},
        {"secrets": {"a": "b"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_raw_user_data_refuses_by_name_what_would_need_user_data_of_its_own(
    fields: dict[str, Any],
) -> None:
    context = replace(contexts.small(), user_data=b"#cloud-config\n", **fields)
    with pytest.raises(InvalidError, match=rf"context\.{next(iter(fields))}: "):
        render(context)


def test_the_layout_says_how_it_is_found_and_that_it_does_not_answer() -> None:
    assert (LAYOUT.name, LAYOUT.label) == ("nocloud", "cidata")
    assert LAYOUT.render(contexts.small()) == render(contexts.small())
