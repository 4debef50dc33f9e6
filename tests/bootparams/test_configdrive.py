from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from ims_bootparams.layouts.cloud_init.config import PROPERTIES_FILE, STEP
from ims_core.errors import InvalidError
from ims_core.models import Context, File
from ims_core.registry import layout
from tests.bootparams import contexts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("configdrive")


def test_cloud_init_reads_every_field_of_a_context(cloud_init: CloudInit, tmp_path: Path) -> None:
    context = contexts.full()
    (seen,) = cloud_init.read(tmp_path, "configdrive", context)
    assert seen["version"] == 2
    assert seen["meta_data"]["instance-id"] == context.instance_id
    assert seen["meta_data"]["local-hostname"] == context.hostname
    assert seen["public_keys"] == list(context.ssh_keys)
    assert [user["name"] for user in seen["config"]["users"][1:]] == ["alice", "bob"]
    assert seen["config"]["ssh_keys"]["ed25519_private"] == contexts.HOST_KEY.private
    properties = json.loads(base64.b64decode(seen["files"][PROPERTIES_FILE]))
    assert properties == {**context.properties, **context.secrets}
    assert seen["meta_data"]["meta"] == context.properties, "and the secrets stand in no meta data"
    assert {path: base64.b64decode(content) for path, content in seen["injected"].items()} == {
        "/motd": b""
    }
    assert "/motd" not in seen["files"]
    (bobs,) = [e for e in seen["config"]["write_files"] if e["path"] == context.files[0].path]
    assert (bobs["defer"], bobs["owner"]) == (True, "root:root"), "bob is not there yet"
    assert base64.b64decode(bobs["content"]) == context.files[0].content
    placed = seen["config"]["runcmd"][0]
    assert placed[:5] == ["sh", STEP, "files.0", "placed", context.files[0].path]
    assert placed[-2:] == ["0640", "bob:bob"]
    assert seen["ec2"]["instance-id"] == context.instance_id


def test_cloud_init_s_renderers_give_the_cards_their_addresses_and_gateways(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    (seen,) = cloud_init.read(tmp_path, "configdrive", contexts.full())
    eni = [line.strip() for line in seen["network"]["eni"].splitlines()]
    for line in (
        *("iface ens3 inet static", "address 192.0.2.10/24", "iface ens4 inet dhcp"),
        *("iface ens3 inet6 static", "address 2001:db8::10/64"),
    ):
        assert line in eni
    for line in (
        *("MACAddress=52:54:00:12:34:56", "Address=192.0.2.10/24", "Address=2001:db8::10/64"),
        *("Gateway=192.0.2.1", "Gateway=fe80::1", "DHCP=ipv4", "Domains=example.org example.com"),
    ):
        assert line in seen["network"]["networkd"].splitlines()
    assert "192.0.2.53" in seen["network"]["networkd"]


def test_vendor_data_makes_the_guest_answer(cloud_init: CloudInit, tmp_path: Path) -> None:
    (seen,) = cloud_init.read(tmp_path, "configdrive", contexts.full())
    [(kind, script)] = seen["vendor_others"]
    assert kind == "text/cloud-boothook"
    assert b"labels='config-2 CONFIG-2' checks=ims.checks" in base64.b64decode(script)


def test_raw_user_data_is_untouched(cloud_init: CloudInit, tmp_path: Path) -> None:
    raw = b"#!/bin/sh\n\0\xff\r\n"
    context = replace(contexts.small(), user_data=raw, default_user="bob")
    (seen,) = cloud_init.read(tmp_path, "configdrive", context)
    assert base64.b64decode(seen["user_data"]) == raw
    assert seen["accounts"]["default"] == "bob"


def test_every_version_says_the_same() -> None:
    files = LAYOUT.render(contexts.full())
    for tree, versions in (
        ("openstack", ("latest", "2018-08-27")),
        ("ec2", ("latest", "2009-04-04")),
    ):
        first, second = (
            {
                name.split("/", 2)[2]: files[name]
                for name in files
                if name.startswith(f"{tree}/{v}/")
            }
            for v in versions
        )
        assert first == second
        assert first


@given(contexts.VALUES)
def test_any_value_comes_back_as_json(value: str) -> None:
    files = LAYOUT.render(replace(contexts.small(), properties={"p": value}))
    assert json.loads(files["openstack/latest/meta_data.json"])["meta"] == {"p": value}


def test_cloud_init_gets_any_path_and_content_back(cloud_init: CloudInit, tmp_path: Path) -> None:
    paths = ("/\x01\x1b\x7f\x80\x85\x9f", "/\u2028 #: \n", "/~", "/\ufeff\U0001f642")
    files = tuple(File(path, bytes(range(256))) for path in paths)
    (seen,) = cloud_init.read(tmp_path, "configdrive", replace(contexts.small(), files=files))
    assert seen["injected"] == dict.fromkeys(paths, base64.b64encode(bytes(range(256))).decode())


def test_a_property_that_would_turn_the_context_off_is_refused() -> None:
    for word in ("disabled", "pass", "net", "local"):
        with pytest.raises(InvalidError, match=r"context\.properties\['dsmode'\]") as caught:
            LAYOUT.render(replace(contexts.small(), properties={"dsmode": word}))
        assert caught.value.hint
    assert LAYOUT.render(replace(contexts.small(), secrets={"dsmode": "disabled"}))


def test_the_layout_says_how_it_is_found_and_that_it_always_answers() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("configdrive", "config-2", False)
    assert LAYOUT.answers(Context(user_data=b"raw"))
