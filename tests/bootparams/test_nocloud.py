from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ims_bootparams.guest import cloud_init_receipt
from ims_bootparams.layouts.cloud_init.config import PROPERTIES_FILE, STEP
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Interface, Script, User
from ims_core.registry import layout
from tests.bootparams import contexts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("nocloud")
CARD = Interface(mac=contexts.MAC)


def render(context: Context) -> Mapping[str, bytes]:
    return LAYOUT.render(context)


def test_cloud_init_reads_every_field_of_a_context(cloud_init: CloudInit, tmp_path: Path) -> None:
    context = contexts.full()
    (seen,) = cloud_init.read(tmp_path, "nocloud", context)
    assert seen["meta_data"]["instance-id"] == context.instance_id
    assert seen["meta_data"]["local-hostname"] == context.hostname
    assert seen["public_keys"] == list(context.ssh_keys)
    assert seen["config"]["users"] == [
        "default",
        {
            "name": "alice",
            "ssh_authorized_keys": ["ssh-ed25519 AAAACCCC a"],
            "hashed_passwd": contexts.HASH,
            "lock_passwd": False,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
        },
        {"name": "bob"},
    ]
    assert base64.b64decode(seen["files"].pop(STEP)).startswith(b"#!/bin/sh\n")
    files = {path: base64.b64decode(content) for path, content in seen["files"].items()}
    properties = json.loads(files.pop(PROPERTIES_FILE))
    assert properties == {**context.properties, **context.secrets}
    assert files == {
        context.files[0].path: b"\0\xff\n'",
        "/motd": b"",
        "/var/lib/ims/scripts/0000": context.scripts[0].content,
        "/var/lib/ims/scripts/0001": context.scripts[1].content,
    }
    assert seen["config"]["ssh_keys"] == {
        "ed25519_private": contexts.HOST_KEY.private,
        "ed25519_public": contexts.HOST_KEY.public,
    }
    modes = {entry["path"]: entry["permissions"] for entry in seen["config"]["write_files"]}
    assert modes[PROPERTIES_FILE] == "0600"
    assert modes["/var/lib/ims/scripts/0000"] == "0700"
    assert seen["config"]["runcmd"][2:] == [
        ["sh", STEP, "scripts.0", "/var/lib/ims/scripts/0000"],
        ["sh", STEP, "scripts.1", "/var/lib/ims/scripts/0001"],
    ]
    assert len(seen["script"].splitlines()) == 5, "two files and two scripts, one after the other"


def test_cloud_init_gives_the_keys_to_the_default_user_that_the_context_names(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    context = replace(contexts.small(), ssh_keys=("ssh-ed25519 AAAAA",), users=(User("alice"),))
    user = User("bob", ("ssh-ed25519 AAAAB",), contexts.HASH)
    media = cloud_init.read(
        tmp_path, "nocloud", context,
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
    assert bob["ssh_authorized_keys"] == ["ssh-ed25519 AAAAB"]
    assert root["key_options"]["root"] == ""
    assert "root" not in root["users"]  # so nothing of it is changed but its keys


def test_raw_user_data_stays_as_it_is_beside_a_default_user() -> None:
    context = replace(contexts.small(), user_data=b"raw", default_user="bob")
    assert render(context)["user-data"] == b"raw"


def test_cloud_init_s_renderers_give_the_cards_their_addresses_and_gateways(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    (seen,) = cloud_init.read(tmp_path, "nocloud", contexts.full())
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
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    odd = "".join(map(chr, [*range(0xA0, 0x2028), 0x202A, 0xFEFF, 0xFFFD, 0xFFFF, 0x10FFFF]))
    words = ("yes", "- x: 1", "null", "1.5", "{a", "'", '"', "a: b", "=")
    keys = (
        f"ssh-ed25519 AAAAA {odd}",
        "ssh-rsa AAAA #x",
        *(f"{word} ssh-rsa AAAA {word}" for word in words),
    )
    paths = ("/\x01\x1b\x7f\x80\x85\x9f", "/\u2028 #: \n", "/~", "/\ufeff\U0001f642")
    context = replace(
        contexts.small(), ssh_keys=keys, files=tuple(File(path, b"x") for path in paths)
    )
    (seen,) = cloud_init.read(tmp_path, "nocloud", context)
    assert seen["public_keys"] == list(keys)
    assert tuple(seen["files"])[:-1] == paths


def test_cloud_init_gets_raw_user_data_byte_for_byte_with_keys_and_network_beside_it(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    raw = b"#!/bin/sh\n\0\xff\r\nprintf x"
    context = replace(
        contexts.small(),
        user_data=raw,
        ssh_keys=("ssh-ed25519 AAAAA",),
        interfaces=(Interface(mac=contexts.MAC),),
    )
    plain, empty = cloud_init.read(tmp_path, "nocloud", context, contexts.small())
    assert base64.b64decode(plain["user_data"]) == raw
    assert plain["public_keys"] == ["ssh-ed25519 AAAAA"]
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
    entry, _ = yaml.safe_load(render(context)["user-data"])["write_files"]
    assert base64.b64decode(entry["content"]) == content


@pytest.mark.parametrize(
    ("owner", "deferred"),
    [("root:root", False), ("root", False), ("bob", True), ("root:adm", True)],
)
def test_a_file_waits_for_the_user_who_shall_own_it(owner: str, *, deferred: bool) -> None:
    context = replace(contexts.small(), files=(File("/a", b"", owner=owner),))
    entry, _ = yaml.safe_load(render(context)["user-data"])["write_files"]
    assert entry.get("defer", False) is deferred


def test_vendor_data_makes_the_guest_answer_and_apply_a_changed_address(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    (seen,) = cloud_init.read(tmp_path, "nocloud", contexts.full())
    assert seen["vendor_config"]["updates"] == {"network": {"when": ["boot-new-instance", "boot"]}}
    [(kind, script)] = seen["vendor_others"]
    assert kind == "text/cloud-boothook"
    receipt = cloud_init_receipt("cidata", "ims.checks")
    assert base64.b64decode(script) == b"#cloud-boothook\n" + receipt


def test_raw_user_data_is_untouched_and_the_default_user_comes_beside_it(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    raw = b"#cloud-config\npackages: [vim]\n"
    context = replace(
        contexts.small(), user_data=raw, default_user="bob", ssh_keys=("ssh-ed25519 AAAAA",)
    )
    assert render(context)["user-data"] == raw
    (seen,) = cloud_init.read(tmp_path, "nocloud", context)
    assert seen["accounts"]["default"] == "bob"
    assert seen["accounts"]["key_options"]["bob"] == ""


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"#!/bin/sh\n\0\xff\r\nprintf x", "text/x-shellscript"),
        (b"#cloud-boothook\n#!/bin/sh\n", "text/cloud-boothook"),
        (gzip.compress(b"#!/bin/sh\necho packed\n", mtime=0), "text/x-shellscript"),
    ],
    ids=["script", "boothook", "gzip"],
)
def test_raw_user_data_of_any_kind_goes_beside_what_else_there_is(
    cloud_init: CloudInit, tmp_path: Path, raw: bytes, kind: str
) -> None:
    context = replace(contexts.small(), user_data=raw, users=(User("alice"),))
    (seen,) = cloud_init.read(tmp_path, "nocloud", context)
    plain = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    assert [(k, base64.b64decode(c)) for k, c in seen["others"]] == [(kind, plain)]
    assert seen["config"]["users"] == ["default", {"name": "alice"}]


def test_two_cloud_configs_are_merged_and_the_user_s_word_stands(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    raw = b"""#cloud-config
runcmd: [[echo, theirs]]
users: [default, {name: carol}]
write_files: [{path: /theirs, content: eA==, encoding: b64}]
ssh_keys: {ed25519_private: theirs}
timezone: Europe/Berlin
"""
    context = replace(
        contexts.small(),
        user_data=raw,
        users=(User("alice"),),
        host_keys=(contexts.HOST_KEY,),
        scripts=(Script("ours", b"#!/bin/sh\n"),),
    )
    (seen,) = cloud_init.read(tmp_path, "nocloud", context)
    config = seen["config"]
    assert config["timezone"] == "Europe/Berlin"
    assert config["runcmd"][0] == ["echo", "theirs"]
    assert config["runcmd"][1][:3] == ["sh", STEP, "scripts.0"]
    assert set(seen["accounts"]["users"]) == {"carol", "alice", "debian"}
    assert "/theirs" in seen["files"]
    assert "/var/lib/ims/scripts/0000" in seen["files"]
    assert config["ssh_keys"]["ed25519_private"] == "theirs"


@given(st.binary(max_size=300))
def test_any_raw_bytes_are_passed_or_refused(raw: bytes) -> None:
    context = replace(contexts.small(), user_data=raw)
    assert render(context)["user-data"] == raw


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"#cloud-config\n\xff\n", "UTF-8"),
        (b"#cloud-config\nusers: [a\nsecret: hunter2\n", "not valid YAML at line 3"),
        (b"#cloud-config\n- a\n", "no mapping"),
        (b"#cloud-config \r\njust text\n", "no mapping"),
        (b"#cloud-config\na: \x01\n", "not valid YAML"),
        (b" #Cloud-Config\n- a\n", "no mapping"),
        (b"#cloud-config and more\n- a\n", "no mapping"),
        (b"\xef\xbb\xbf#cloud-config\na: 1\n", "byte order mark"),
        (b"#cloud-config\na: " + b"[" * 100_000 + b"]" * 100_000, "100 levels"),
        (b"#cloud-config\na: " + b"{a: " * 200_000, "100 levels"),
        *(
            (b"#cloud-config\na: hunter2\nb: " + value + b"\n", "not of the type")
            for value in (
                *(b"2024-02-30", b"0x_", b"0b_", b"!!int foo", b"!!float foo", b"!!bool foo"),
                *(b"9" * 5000, b"2001-01-01T00:00:00+99:00", b"!!timestamp foo"),
            )
        ),
    ],
)
def test_an_invalid_cloud_config_is_refused_without_its_content(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidError, match=rf"context\.user_data: .*{words}") as caught:
        render(replace(contexts.small(), user_data=raw))
    assert "hunter2" not in str(caught.value)


def test_an_empty_cloud_config_is_one() -> None:
    raw = b"#cloud-config\n# nothing yet\n"
    assert render(replace(contexts.small(), user_data=raw))["user-data"] == raw


@pytest.mark.parametrize("raw", [b"#cloud-config-archive\n- a\n", b"#cloud-config-jsonp\n- a\n"])
def test_other_kinds_are_the_guest_s_matter(raw: bytes) -> None:
    assert render(replace(contexts.small(), user_data=raw))["user-data"] == raw


@pytest.mark.parametrize(
    "path", [PROPERTIES_FILE, STEP, "/var/lib/ims/scripts/0000", "/var/lib/ims/x"]
)
def test_a_file_in_the_place_of_what_is_written_itself_is_refused(path: str) -> None:
    files = (File("/etc/motd", b""), File(path, b"theirs"))
    with pytest.raises(InvalidError, match=rf"context\.files\[1\]\.path: {path}") as caught:
        render(replace(contexts.small(), files=files))
    assert caught.value.hint


def test_an_alias_bomb_is_passed_on_and_not_unfolded() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    raw = f"#cloud-config\na0: &a0 [x]\n{levels}".encode()
    assert render(replace(contexts.small(), user_data=raw))["user-data"] == raw


MESSAGE = b"Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x--\n"


@pytest.mark.parametrize(
    "raw",
    [MESSAGE, gzip.compress(MESSAGE, mtime=0), b"From nobody Sat Nov 21\n" + MESSAGE,
     gzip.compress(MESSAGE + b"x" * 100_000, mtime=0),
     b"\nContent-Type: text/x-shellscript\n\nx\n"],
    ids=["plain", "gzip", "mbox", "large", "one part"],
)  # fmt: skip
def test_nothing_is_added_to_what_is_a_message_already(raw: bytes) -> None:
    context = replace(contexts.small(), user_data=raw)
    assert render(context)["user-data"] == raw
    with pytest.raises(InvalidError, match=r"context\.user_data: .*MIME"):
        render(replace(context, users=(User("alice"),)))


def test_version_1_of_the_network_gives_the_same_addresses(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    (old,) = cloud_init.read(tmp_path, "nocloud-v1", contexts.full())
    (new,) = cloud_init.read(tmp_path, "nocloud", contexts.full())
    for line in ("Address=192.0.2.10/24", "Address=2001:db8::10/64", "Gateway=192.0.2.1",
                 "Gateway=fe80::1", "DHCP=ipv4"):  # fmt: skip
        assert line in new["network"]["networkd"].splitlines()
        assert line in old["network"]["networkd"].splitlines()
    assert "search example.org example.com" in old["network"]["eni"]


def test_the_layout_says_how_it_is_found_and_that_it_always_answers() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("nocloud", "cidata", False)
    assert LAYOUT.answers(contexts.small())
    assert LAYOUT.answers(replace(contexts.small(), user_data=b"raw"))


def test_root_as_the_default_user_keeps_its_password_and_keys() -> None:
    root = User("root", ("ssh-ed25519 AAAAR",), contexts.HASH)
    config = yaml.safe_load(render(replace(contexts.small(), default_user="root", users=(root,)))
                            ["user-data"])  # fmt: skip
    assert config["disable_root"] is False
    (described,) = config["users"][1:]
    assert described["name"] == "root"
    assert described["hashed_passwd"] == contexts.HASH
    assert described["ssh_authorized_keys"] == ["ssh-ed25519 AAAAR"]


def test_files_of_any_owner_are_made_and_wait_for_the_users_where_they_must() -> None:
    """cloud-init 22.4 knows no owner by number, so the step sets them."""
    context = replace(
        contexts.small(),
        files=(File("/a", b"", owner="1000:1000"), File("/b", b"", owner="bob"),
               File("/home/bob/c", b""), File("/d", b"")),
    )  # fmt: skip
    config = yaml.safe_load(render(context)["user-data"])
    entries = {entry["path"]: entry for entry in config["write_files"]}
    assert {entry["owner"] for entry in entries.values()} == {"root:root"}
    waiting = {path for path, entry in entries.items() if entry.get("defer")}
    assert waiting == {"/a", "/b", "/home/bob/c"}
    assert [command[-1] for command in config["runcmd"]] == [
        "1000:1000", "bob", "root:root", "root:root",
    ]  # fmt: skip
