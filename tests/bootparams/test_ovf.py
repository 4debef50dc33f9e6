from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_bootparams.layouts.cloud_init.config import PROPERTIES_FILE, STEP
from ims_bootparams.layouts.ovf import check_characters, environment
from ims_core.errors import InvalidError
from ims_core.models import Context, Script, User
from ims_core.registry import layout
from tests.bootparams import contexts

if TYPE_CHECKING:
    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("ovf")
OE = "{http://schemas.dmtf.org/ovf/environment/1}"

#: All that XML 1.0 can hold, with a liking for what its readers change or take for markup.
TEXT = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r\"'&<>;#\x7f\x80\x85\u2028\ufeff\ufffd\U0001fffe"),
    max_size=60,
)
CLOUD_INIT_S = (
    *("instance-id", "hostname", "local-hostname", "public-keys"),
    *("user-data", "password", "seedfrom", "network-config"),
)
NAMES = TEXT.filter(
    lambda name: name not in ("", SPACED, *CLOUD_INIT_S) and not {"\n", "="} & set(name)
)
SPACED = "s e\tcret"


def full() -> Context:
    """All fields, but without the characters that XML does not have."""
    context = contexts.full()
    kept = {name: re.sub("[\x01-\x08\v\f\uffff]", "", v) for name, v in context.properties.items()}
    return replace(context, properties=kept)


def parsed(document: bytes) -> Any:
    """The document as libxml2 reads it."""
    return pytest.importorskip("lxml.etree").fromstring(document)


def test_the_document_is_an_ovf_environment() -> None:
    root = parsed(environment("vm-1", {"a": "b"}))
    assert (root.tag, dict(root.attrib)) == (f"{OE}Environment", {f"{OE}id": "vm-1"})
    platform, section = root
    assert platform.tag == f"{OE}PlatformSection"
    assert [each.tag for each in platform] == [
        f"{OE}{name}" for name in ("Kind", "Version", "Vendor", "Locale")
    ]
    assert all(each.text for each in platform)
    assert section.tag == f"{OE}PropertySection"
    assert [(each.tag, dict(each.attrib)) for each in section] == [
        (f"{OE}Property", {f"{OE}key": "a", f"{OE}value": "b"})
    ]


@given(TEXT, st.dictionaries(TEXT, TEXT, max_size=5))
def test_any_text_comes_back_from_the_document(vm_id: str, properties: dict[str, str]) -> None:
    document = environment(vm_id, properties)
    root = parsed(document)
    assert root.get(f"{OE}id") == vm_id
    assert {each.get(f"{OE}key"): each.get(f"{OE}value") for each in root[1]} == properties
    assert document.isascii()


def test_what_no_document_can_hold_is_what_is_refused() -> None:
    etree = pytest.importorskip("lxml.etree")
    edges = (0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFF, 0x10FFFF)
    for code in (*range(1, 0x100), *edges):
        try:
            held = etree.fromstring(f"<a>&#{code};</a>").text == chr(code)
        except etree.XMLSyntaxError:
            held = False
        try:
            check_characters("field", f"a{chr(code)}b")
            taken = True
        except InvalidError:
            taken = False
        assert taken == held, hex(code)


@pytest.mark.parametrize("character", ["\x01", "\x1b", "\ufffe", "\uffff"])
@pytest.mark.parametrize("kind", ["properties", "secrets"])
def test_a_character_that_xml_does_not_know_is_refused_by_its_field(
    kind: str, character: str
) -> None:
    changes: dict[str, Any] = {kind: {"a": "", "b": f"hunter2 {character}"}}
    words = rf"context\.{kind}\['b'\]: it holds U\+{ord(character):04X}"
    with pytest.raises(InvalidError, match=words) as caught:
        LAYOUT.render(replace(contexts.small(), **changes))
    assert "hunter2" not in str(caught.value.to_json())


def test_a_key_with_such_a_character_is_refused_too() -> None:
    keys = ("ssh-rsa AAAAA", "ssh-rsa AAAAB \ufffe")
    with pytest.raises(InvalidError, match=r"context\.ssh_keys\[1\]: it holds U\+FFFE"):
        LAYOUT.render(replace(contexts.small(), ssh_keys=keys))


def test_a_name_that_xml_does_not_know_is_refused_too() -> None:
    with pytest.raises(InvalidError, match=r"context\.properties\['a\\x02'\]: "):
        LAYOUT.render(replace(contexts.small(), properties={"a\x02": ""}))


@pytest.mark.parametrize("kind", ["properties", "secrets"])
@pytest.mark.parametrize("name", CLOUD_INIT_S)
def test_a_name_of_cloud_init_s_own_is_refused_by_its_field(name: str, kind: str) -> None:
    changes: dict[str, Any] = {kind: {name: "hunter2"}}
    with pytest.raises(InvalidError, match=rf"context\.{kind}\['{name}'\]: ") as caught:
        LAYOUT.render(replace(contexts.small(), **changes))
    assert "hunter2" not in str(caught.value.to_json())


def test_cloud_init_reads_every_field_of_a_context(cloud_init: CloudInit, tmp_path: Path) -> None:
    context = full()
    (seen,) = cloud_init.read(tmp_path, "ovf", context)
    assert seen["meta_data"]["instance-id"] == context.instance_id
    assert seen["meta_data"]["local-hostname"] == context.hostname
    assert [user["name"] for user in seen["config"]["users"][1:]] == ["alice", "bob"]
    assert seen["config"]["ssh_keys"]["ed25519_private"] == contexts.HOST_KEY.private
    files = {path: base64.b64decode(content) for path, content in seen["files"].items()}
    assert json.loads(files[PROPERTIES_FILE]) == {**context.properties, **context.secrets}
    assert {path: files[path] for path in (each.path for each in context.files)} == {
        each.path: each.content for each in context.files
    }
    assert seen["config"]["runcmd"][2] == ["sh", STEP, "scripts.0", "/var/lib/ims/scripts/0000"]
    document = parsed(LAYOUT.render(context)["ovf-env.xml"])
    assert document.get(f"{OE}id") == context.instance_id
    told = {**context.properties, **context.secrets}
    assert {name: seen["properties"][name] for name in told} == told


def test_cloud_init_s_renderers_give_the_cards_their_addresses_and_gateways(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    told, untold = cloud_init.read(tmp_path, "ovf", full(), contexts.small())
    for line in (
        *("MACAddress=52:54:00:12:34:56", "Address=192.0.2.10/24", "Address=2001:db8::10/64"),
        *("Gateway=192.0.2.1", "Gateway=fe80::1", "DNS=192.0.2.53 2001:db8::53", "DHCP=ipv4"),
        *("Domains=example.org example.com", "MACAddress=52:54:00:12:34:57"),
    ):
        assert line in told["network"]["networkd"].splitlines()
    assert "network" not in untold


def test_each_of_several_keys_is_a_line_of_its_own_and_none_lets_root_in(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    keys = ("ssh-ed25519 AAAA", "ssh-ed25519 AAAABBBB bob", "ssh-ed25519 AAAACCCC carol")
    context = replace(contexts.small(), ssh_keys=keys)
    media = cloud_init.read(
        tmp_path,
        "ovf",
        context,
        replace(context, user_data=b"#cloud-config\nssh_authorized_keys: [ssh-rsa theirs]\n"),
    )
    for seen, more in zip(media, ([], ["ssh-rsa theirs"]), strict=True):
        lines = seen["accounts"]["authorized_keys"]
        assert lines["debian"] == [*keys, *more]
        assert [line.partition(" ssh-")[0][-9:] for line in lines["root"]] == (
            ['exit 142"'] * len(lines["debian"])
        )


@pytest.mark.parametrize("kind", ["ovf", "opennebula"])
def test_whom_the_keys_belong_to_is_told_beside_raw_user_data(
    cloud_init: CloudInit, tmp_path: Path, kind: str
) -> None:
    raw = b"#!/bin/sh\n\0\xff\n"
    context = replace(contexts.small(), user_data=raw, default_user="bob")
    bob = User("bob", ("ssh-ed25519 AAAAB",), contexts.HASH)
    plain, keyed, described = cloud_init.read(
        tmp_path,
        kind,
        context,
        replace(context, ssh_keys=("ssh-ed25519 AAAAA",)),
        replace(context, users=(bob,)),
    )
    assert base64.b64decode(plain["user_data"]) == raw
    for seen in (keyed, described):
        assert seen["accounts"]["default"] == "bob"
        [[sort, script]] = seen["others"]
        assert (sort, base64.b64decode(script)) == ("text/x-shellscript", raw)
    assert described["accounts"]["users"]["bob"]["hashed_passwd"] == contexts.HASH


def test_the_guest_answers_unless_the_user_data_is_raw(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    raw = replace(contexts.small(), user_data=b"#cloud-config\npackages: [vim]\n")
    assert LAYOUT.answers(contexts.small())
    assert not LAYOUT.answers(raw)
    (ours, theirs) = cloud_init.read(tmp_path, "ovf", contexts.small(), raw)
    [[shell, option, script]] = ours["config"]["bootcmd"]
    assert (shell, option) == ("sh", "-c")
    assert "labels='OVF-TRANSPORT OVF-TRANSPORT'" in script
    assert base64.b64decode(theirs["user_data"]) == raw.user_data
    context = replace(contexts.small(), scripts=(Script("s", b"#!/bin/sh\n"),))
    assert b"expect step scripts.0\n" in LAYOUT.render(context)["ims.checks"]


CONTEXTS = st.builds(
    lambda properties, secret, raw: replace(
        contexts.small(),
        properties=properties,
        secrets={SPACED: secret},
        user_data=raw,
    ),
    st.dictionaries(NAMES, TEXT, max_size=12),
    TEXT,
    st.none() | contexts.SCRIPTS,
)


def test_any_value_comes_back_from_cloud_init(cloud_init: CloudInit) -> None:
    @settings(max_examples=4, deadline=None)
    @given(st.lists(CONTEXTS, min_size=10, max_size=20))
    def comes_back(given: list[Context]) -> None:
        with TemporaryDirectory() as folder:
            found = cloud_init.read(Path(folder), "ovf", *given)
        for context, seen in zip(given, found, strict=True):
            values = {**context.properties, **context.secrets}
            read = {k: v for k, v in seen["properties"].items() if k not in CLOUD_INIT_S}
            assert read == values
            assert json.loads(base64.b64decode(seen["files"][PROPERTIES_FILE])) == values
            if context.user_data is not None:
                [[_, script]] = seen["others"]
                assert base64.b64decode(script) == context.user_data

    comes_back()


def test_the_layout_says_how_it_is_found() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("ovf", "OVF-TRANSPORT", False)
    assert [str(carrier) for carrier in LAYOUT.carriers] == ["iso"]
