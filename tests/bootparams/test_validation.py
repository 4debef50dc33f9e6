from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ims_bootparams.layouts import bootparams, nocloud
from ims_bootparams.validation import MAX_BYTES, check_context
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Interface, Script, User
from tests.bootparams import contexts

MAC = contexts.MAC
STATIC = Interface(mac=MAC, addresses=("192.0.2.10/24",))


def network(**fields: Any) -> dict[str, Any]:
    return {"interfaces": (replace(STATIC, **fields),)}


def file(**fields: Any) -> dict[str, Any]:
    return {"files": (replace(File("/a", b""), **fields),)}


def user(**fields: Any) -> dict[str, Any]:
    return {"users": (replace(User("a"), **fields),)}


def hashed(text: str) -> dict[str, Any]:
    return user(password_hash=text)


def host_key(**fields: Any) -> dict[str, Any]:
    return {"host_keys": (replace(contexts.HOST_KEY, **fields),)}


def many(**counts: int) -> dict[str, Any]:
    """So many different items of each kind."""
    made = {
        "files": lambda i: File(f"/{i}", b""),
        "scripts": lambda i: Script(f"{i}", b""),
        "users": lambda i: User(f"u{i}"),
        "interfaces": lambda _: Interface(),
    }
    return {kind: tuple(map(made[kind], range(count))) for kind, count in counts.items()}


#: Fields of a context that is otherwise right, and the field that the error must name.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"instance_id": ""}, "context.instance_id"),
    ({"instance_id": "a'b"}, "context.instance_id"),
    ({"instance_id": "a\n"}, "context.instance_id"),
    *(
        ({"hostname": name}, "context.hostname")
        for name in ("", "-a", "a-", "a..b", ".a", "a_b", "é", "a b", "a\n", "x" * 64, "a\0",
                     ".".join(["x" * 63] * 4) + ".x")
    ),
    ({"ssh_keys": ("ssh-ed25519 AAAAA", "")}, "context.ssh_keys[1]"),
    ({"ssh_keys": (" ",)}, "context.ssh_keys[0]"),
    ({"ssh_keys": ("a\nb",)}, "context.ssh_keys[0]"),
    ({"ssh_keys": ("a\u2028b",)}, "context.ssh_keys[0]"),
    ({"ssh_keys": ("a\x1bb",)}, "context.ssh_keys[0]"),
    ({"ssh_keys": ("a\0b",)}, "context.ssh_keys[0]"),
    ({"ssh_keys": ("a\udc80",)}, "context.ssh_keys[0]"),
    *(
        (network(mac=mac), "context.interfaces[0].mac")
        for mac in ("52:54:00:12:34", "52-54-00-12-34-56", "52:54:00:AB:34:56",
                    "53:54:00:12:34:56", MAC + "\n")
    ),
    (host_key(type="dsa"), "context.host_keys[0].type"),
    (host_key(type="rsa"), "context.host_keys[0].public"),
    (host_key(private="secret"), "context.host_keys[0].private"),
    (host_key(private=contexts.HOST_KEY.private + "\nx"), "context.host_keys[0].private"),
    (host_key(public=contexts.HOST_KEY.public + "\n"), "context.host_keys[0].public"),
    ({"host_keys": (contexts.HOST_KEY,) * 2}, "context.host_keys[1].type"),
    ({"interfaces": (STATIC, STATIC)}, "context.interfaces[1].mac"),
    *(
        (network(addresses=(text,)), "context.interfaces[0].addresses[0]")
        for text in ("192.0.2.10", "192.0.2.10/33", "192.0.2.10/255.255.255.0", "nowhere/24",
                     "192.0.2.256/24", "fe80::1%eth0/64", "192.0.2.10/24 ", "192.0.2.010/24")
    ),
    (network(addresses=("192.0.2.1/24",) * 2), "context.interfaces[0].addresses[1]"),
    (network(addresses=("192.0.2.0/24",)), "context.interfaces[0].addresses[0]"),
    (network(addresses=("192.0.2.255/24",)), "context.interfaces[0].addresses[0]"),
    (network(addresses=("2001:db8::1/64", "2001:DB8::1/64")), "context.interfaces[0].addresses[1]"),
    (
        {"interfaces": (STATIC, replace(STATIC, mac=contexts.DHCP_MAC))},
        "context.interfaces[1].addresses[0]",
    ),
    (network(gateways=("192.0.2.10",)), "context.interfaces[0].gateways[0]"),
    (network(gateways=("198.51.100.1",)), "context.interfaces[0].gateways[0]"),
    (network(gateways=("2001:db8::1",)), "context.interfaces[0].gateways[0]"),
    (network(gateways=("192.0.2.1/24",)), "context.interfaces[0].gateways[0]"),
    (
        network(addresses=("2001:db8::1/64",), gateways=("fe80::1%eth0",)),
        "context.interfaces[0].gateways[0]",
    ),
    (network(gateways=("169.254.0.1",)), "context.interfaces[0].gateways[0]"),
    (network(addresses=("192.0.2.0/30",)), "context.interfaces[0].addresses[0]"),
    (network(addresses=("192.0.2.3/30",)), "context.interfaces[0].addresses[0]"),
    (network(gateways=("192.0.2.1", "192.0.2.2")), "context.interfaces[0].gateways[1]"),
    (network(gateways=("192.0.2.1", "fe80::1")), "context.interfaces[0].gateways[1]"),
    (network(addresses=(), gateways=("192.0.2.1",)), "context.interfaces[0].gateways[0]"),
    (network(nameservers=("192.0.2.1", "dns")), "context.interfaces[0].nameservers[1]"),
    (network(search=("example.org", "a b")), "context.interfaces[0].search[1]"),
    *(
        (user(name=name), "context.users[0].name")
        for name in ("", "A", "1a", "-a", "a b", "a:b", "a.b", "é", "a" * 33, "a\n")
    ),
    ({"users": (User("a"), User("b"), User("a"))}, "context.users[2].name"),
    *(
        (user(ssh_keys=(key,)), "context.users[0].ssh_keys[0]")
        for key in ("", "ssh-rsa", "# ssh-rsa AAAA", "\ufeffssh-rsa AAAA", "ssh-rsa BBBB",
                    "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-rsa AAAA\nssh-rsa AAAA")
    ),
    ({"files": (File("/a/b", b""), File("/a", b""))}, "context.files[0].path"),
    ({"files": (File("/a", b""), File("/ab", b""), File("/a/b/c", b""))}, "context.files[2].path"),
    *(
        (hashed(text), "context.users[0].password_hash")
        for text in ("hunter2", "$6$a:b", "$6$a$b\nroot::0:", "$6$a$", "$6$a$short",
                     "$6$" + "a" * 60, "$6$ $" + "a" * 86, "$6$a$" + "a" * 86 + "\n",
                     "$6$a:b$" + "a" * 86)
    ),
    ({"properties": {"": "x"}}, "context.properties['']"),
    ({"properties": {"a=b": "x"}}, "context.properties['a=b']"),
    ({"properties": {"a\nb": "x"}}, r"context.properties['a\nb']"),
    ({"properties": {"a\0": "x"}}, r"context.properties['a\x00']"),
    ({"properties": {"a": "x\0"}}, "context.properties['a']"),
    ({"properties": {"a": "\ud800"}}, "context.properties['a']"),
    ({"secrets": {"a": "x\0"}}, "context.secrets['a']"),
    ({"properties": {"a": "x"}, "secrets": {"a": "y"}}, "context.secrets['a']"),
    *(
        (file(path=path), "context.files[0].path")
        for path in ("", "/", "a", "a/b", "/a/../b", "/..", "/a/", "//a", "/a//b", "/./a", "/a\0",
                     "/a\udcff", "/" + "x" * 241, "/x" * 2001)
    ),
    ({"files": (File("/a", b""), File("/b", b""), File("/a", b""))}, "context.files[2].path"),
    (file(mode=-1), "context.files[0].mode"),
    (file(mode=0o10000), "context.files[0].mode"),
    *(
        (file(owner=owner), "context.files[0].owner")
        for owner in ("", ":", "root:", ":root", "a b", "a:b:c", "-R:a", "A", "a\n", "1" * 11)
    ),
    ({"scripts": (Script("", b""),)}, "context.scripts[0].name"),
    ({"scripts": (Script("x" * 101, b""),)}, "context.scripts[0].name"),
    ({"scripts": (Script("a\nb", b""),)}, "context.scripts[0].name"),
    ({"scripts": (Script("a\0b", b""),)}, "context.scripts[0].name"),
    ({"scripts": (Script("a", b""), Script("a", b"x"))}, "context.scripts[1].name"),
    *(
        ({"default_user": name}, "context.default_user")
        for name in ("A", "1a", "-a", "a b", "a:b", "é", "a" * 33, "a\n", "a'b")
    ),
    (many(files=501), "context.files"),
    (many(scripts=501), "context.scripts"),
    (many(users=501), "context.users"),
    (many(interfaces=501), "context.interfaces"),
    (many(files=100, scripts=100, users=100, interfaces=201), "context.interfaces"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "named"), WRONG, ids=[f"{i}-{named}" for i, (_, named) in enumerate(WRONG)]
)
def test_what_cannot_be_right_is_refused_by_its_field_with_a_fix(
    fields: dict[str, Any], named: str
) -> None:
    context = replace(contexts.small(), **fields)
    with pytest.raises(InvalidError) as caught:
        check_context(context)
    assert caught.value.message.startswith(f"{named}: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": "a"},
        {"hostname": "3com.Example.ORG"},
        {"hostname": ".".join(["x" * 63] * 3 + ["y" * 61])},
        {"interfaces": (Interface(), Interface())},
        network(gateways=("192.0.2.1",), addresses=("192.0.2.10/24", "2001:db8::1/64")),
        network(gateways=("2001:db8::1", "192.0.2.1"), addresses=("192.0.2.9/24", "2001:db8::2/9")),
        network(gateways=("fe80::1",), addresses=("2001:db8::1/64",)),
        network(addresses=()),
        network(addresses=("192.0.2.0/31",)),
        network(addresses=("192.0.2.3/31", "192.0.2.4/32")),
        user(name="_a-b_9"),
        *(
            user(ssh_keys=(key,))
            for key in ("ssh-rsa AAAA", "ecdsa-sha2-nistp256 AAAA x", "ssh-ed25519\tAAAA a b",
                        'from="192.0.2.0/24",no-pty ssh-rsa AAAA',
                        "sk-ssh-ed25519@openssh.com AAAA",
                        )
        ),
        hashed("!"),
        hashed("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd"),
        hashed("$2b$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"),
        file(path="/a b/c'd\n$(e)/é"),
        file(path="/..a/b.."),
        file(owner="www-data"),
        file(owner="0:1000"),
        file(mode=0),
        file(mode=0o7777),
        {"properties": {"a b.c": "x\ny=\u2028\x85\U0010ffff"}},
        {"scripts": (Script("set up: part 1", b""), Script("x" * 100, b""))},
        {"default_user": "debian"},
        many(files=500),
        many(files=125, scripts=125, users=125, interfaces=125),
    ],
)  # fmt: skip
def test_what_can_be_right_is_accepted(fields: dict[str, Any]) -> None:
    check_context(replace(contexts.small(), **fields))


def test_too_many_items_are_refused_with_their_number_and_the_limit() -> None:
    context = replace(contexts.small(), **many(files=300, scripts=201))
    with pytest.raises(InvalidError) as caught:
        check_context(context)
    assert caught.value.message == "context.files: there are 300, of 501 items in all"
    assert "500" in str(caught.value.hint)


def test_the_full_context_is_accepted() -> None:
    check_context(contexts.full())


@pytest.mark.parametrize(
    "fields",
    [
        hashed("s3cret"),
        {"secrets": {"a": "s3cret\0"}},
        {"secrets": {"a": "s3cret\ud800"}},
        {"properties": {"a": "s3cret\0"}},
        {"properties": {"a": "x"}, "secrets": {"a": "s3cret"}},
    ],
)  # fmt: skip
def test_no_error_shows_a_secret(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as caught:
        check_context(replace(contexts.small(), **fields))
    assert "s3cret" not in str(caught.value.to_json())


@pytest.mark.parametrize("layout", [bootparams.LAYOUT, nocloud.LAYOUT], ids=lambda x: x.name)
@pytest.mark.parametrize(
    ("context", "named"),
    [
        (replace(contexts.small(), interfaces=(Interface(),)), "context.interfaces[0].mac"),
        (replace(contexts.small(), properties={"a": "\0"}), "context.properties['a']"),
        (replace(contexts.small(), secrets={"a": "\udfff"}), "context.secrets['a']"),
    ],
)
def test_a_layout_refuses_what_it_cannot_carry(layout: Any, context: Context, named: str) -> None:
    with pytest.raises(InvalidError) as caught:
        layout.render(context)
    assert caught.value.message.startswith(f"{named}: ")


def test_what_no_carrier_holds_is_refused_before_it_is_copied() -> None:
    big = b"x" * (MAX_BYTES // 2 + 1)
    file, script, larger = File("/a", big), Script("a", big), big + b"more"
    for fields, named in (
        ({"files": (file,), "user_data": larger}, "context.user_data: "),
        ({"files": (file,), "scripts": (Script("a", larger),)}, "context.scripts[0].content: "),
        ({"files": (File("/a", larger),), "scripts": (script,)}, "context.files[0].content: "),
    ):
        with pytest.raises(InvalidError) as caught:
            check_context(replace(contexts.small(), **fields))
        assert caught.value.code == "context-too-large"
        assert caught.value.message.startswith(named)
        assert str(MAX_BYTES) in caught.value.hint
