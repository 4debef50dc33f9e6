"""Names, sizes, MACs and the context's JSON, by properties."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core import Context, File, Interface, InvalidError, Script, User
from ims_core.codec import context_from_json, context_to_json
from ims_core.models import Address
from ims_core.names import check_name, make_up_name
from ims_core.service.macs import mac_for
from ims_core.units import format_size, parse_size

TEXT = st.text()
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
CONTEXTS = st.builds(
    Context,
    instance_id=TEXT,
    hostname=TEXT,
    interfaces=st.lists(
        st.builds(Interface, network=TEXT, mac=TEXT, addresses=TEXTS, gateways=TEXTS), max_size=2
    ).map(tuple),
    ssh_keys=TEXTS,
    users=st.lists(st.builds(User, name=TEXT, ssh_keys=TEXTS, sudo=st.booleans()), max_size=2).map(
        tuple
    ),
    properties=st.dictionaries(TEXT, TEXT, max_size=3),
    secrets=st.dictionaries(TEXT, TEXT, max_size=3),
    files=st.lists(
        st.builds(File, path=TEXT, content=st.binary(), mode=st.integers(0, 0o7777)), max_size=2
    ).map(tuple),
    scripts=st.lists(st.builds(Script, name=TEXT, content=st.binary()), max_size=2).map(tuple),
    user_data=st.none() | st.binary(),
)


@given(CONTEXTS)
def test_any_context_comes_back_from_the_store_as_it_was(context: Context) -> None:
    assert context_from_json(context_to_json(context)) == context


def test_secrets_do_not_show_in_a_repr() -> None:
    context = Context(
        secrets={"k": "s3cret"},
        files=(File("/f", b"s3cret"),),
        users=(User("u", password_hash="$6$s3cret"),),  # noqa: S106 - what must not be shown
        user_data=b"s3cret",
    )
    assert "s3cret" not in repr(context)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", fullmatch=True))
def test_a_name_that_passes_is_a_host_name_and_safe_anywhere(text: str) -> None:
    try:
        name = check_name("name", text)
    except InvalidError:
        assert ".." in text or ".-" in text or "-." in text
        return
    assert re.fullmatch(r"[A-Za-z0-9.-]+", name)
    for label in name.split("."):
        assert label
        assert not label.startswith("-")
        assert not label.endswith("-")


@pytest.mark.parametrize("text", ["", "a" * 64, "-a", "a-", ".", "a\n", "a/b", "ü", "a b", "a\0"])
def test_a_name_that_could_hurt_does_not_pass(text: str) -> None:
    with pytest.raises(InvalidError, match="my field") as caught:
        check_name("my field", text)
    assert caught.value.code == "invalid-name"


def test_a_made_up_name_is_a_name() -> None:
    assert check_name("name", make_up_name()).startswith("vm-")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("1073741824", 1 << 30),
        (" 2 g ", 2 << 30),
        ("1kb", 1024),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size("memory", text) == size


@pytest.mark.parametrize("text", ["12 bananas", "", "-1M", "0", "1e9", "M", "1MM", "nan", "٣M"])
def test_what_is_no_size_names_the_field(text: str) -> None:
    with pytest.raises(InvalidError, match="memory"):
        parse_size("memory", text)


@given(st.integers(1, 1 << 50))
def test_a_formatted_size_is_a_size_nearby(size: int) -> None:
    assert abs(parse_size("x", format_size(size)) - size) <= max(1, size * 0.06)


@given(st.uuids(), st.integers(0, 7))
def test_a_mac_is_unicast_local_and_always_the_same(uuid: object, index: int) -> None:
    mac = mac_for(str(uuid), index)
    assert mac == mac_for(str(uuid), index)
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac)
    first = int(mac[:2], 16)
    assert first & 1 == 0
    assert first & 2 == 2


@pytest.mark.parametrize(
    ("text", "routable"),
    [
        *(("192.0.2.1", True), ("192.0.2.1/24", True), ("2001:db8::1/64", True)),
        *(("169.254.1.2", False), ("fe80::1", False), ("127.0.0.1", False), ("0.0.0.0/0", False)),
        *(("2001:db8::1%eth0", False), ("2001:db8::1%\x1b[2J/64", False), ("x", False)),
    ],
    ids=repr,
)
def test_an_address_is_routable_if_others_can_use_it(text: str, *, routable: bool) -> None:
    assert Address(text, "", "agent").is_routable is routable


@given(st.text())
def test_what_is_routable_can_be_printed(text: str) -> None:
    for address in (text, f"2001:db8::1%{text}", f"192.0.2.1/{text}"):
        assert address.isprintable() or not Address(address, "", "agent").is_routable
