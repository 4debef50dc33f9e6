from __future__ import annotations

import re
import string
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_bootparams.layouts.nocloud_net import MOST_CHARACTERS
from ims_bootparams.validation import check_context
from ims_core.errors import InvalidError
from ims_core.models import Carrier, Context, File, Interface, Script, User
from ims_core.registry import LAYOUTS, layout, plugins
from tests.bootparams import contexts

if TYPE_CHECKING:
    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("nocloud-net")
URL = "http://192.0.2.1:8000/seeds/"
CONTEXT = replace(contexts.small(), seed_url=URL)

#: Valid URLs, made of what RFC 3986 lets each part be.
URLS = st.builds(
    "{}://{}{}/{}".format,
    st.sampled_from(("http", "https")),
    st.sampled_from(("seeds.example.org", "192.0.2.1", "[2001:db8::1]", "a-b_c~d")),
    st.just("") | st.integers(1, 65535).map(lambda port: f":{port}"),
    st.lists(
        st.sampled_from([*string.ascii_letters, *string.digits, *"._~!$&()*+,=:@/?-"])
        | st.binary(min_size=1, max_size=1).map(lambda byte: f"%{byte[0]:02X}"),
        max_size=40,
    ).map(lambda parts: "".join([*parts, "/"]) if parts else ""),
)


def serial(context: Context) -> str:
    (text,) = LAYOUT.render(context).values()
    return text.decode()


def read(cloud_init: CloudInit, urls: list[str]) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        given = [replace(contexts.small(), seed_url=url) for url in urls]
        return cloud_init.read(Path(folder), "nocloud-net", *given)


def fetched_below(url: str) -> list[str]:
    return [f"{url}{name}" for name in ("meta-data", "user-data", "vendor-data")]


def test_the_serial_number_tells_the_seed_and_the_identity() -> None:
    assert dict(LAYOUT.render(CONTEXT)) == {
        "serial": b"ds=nocloud-net;s=http://192.0.2.1:8000/seeds/;h=web-1"
        b";i=7c1f5a0e-5f9c-4b57-9a3b-2f6f4f0f8f11"
    }


def test_cloud_init_fetches_the_seed_once_there_is_a_network_and_our_identity_wins(
    cloud_init: CloudInit,
) -> None:
    (seen,) = read(cloud_init, [URL])
    assert seen["before_network"] is False
    assert seen["fetched"] == fetched_below(URL)
    assert seen["meta_data"]["instance-id"] == contexts.small().instance_id
    assert seen["meta_data"]["local-hostname"] == contexts.small().hostname
    assert seen["public_keys"] == ["ssh-rsa theirs"], "what the seed alone tells"
    assert seen["config"] == {"runcmd": ["theirs"]}


def test_any_url_comes_back_from_cloud_init(cloud_init: CloudInit) -> None:
    # One process of cloud-init for many URLs: to start it takes most of a second.
    @settings(max_examples=4, deadline=None)
    @given(st.lists(URLS, min_size=10, max_size=20))
    def comes_back(urls: list[str]) -> None:
        for url, seen in zip(urls, read(cloud_init, urls), strict=True):
            assert seen["meta_data"]["seedfrom"] == url
            assert seen["fetched"] == fetched_below(url)
            assert seen["meta_data"]["instance-id"] == contexts.small().instance_id

    comes_back()


def test_any_text_comes_back_from_cloud_init_or_is_refused(cloud_init: CloudInit) -> None:
    texts = st.text(st.sampled_from(";=%s 'h\"i\n\t#/@:\\é\u2028"), max_size=6)

    @settings(max_examples=4, deadline=None)
    @given(st.sets(texts, min_size=100, max_size=150))
    def comes_back(given: set[str]) -> None:
        taken = []
        for url in (f"http://h/{text}/" for text in sorted(given)):
            with suppress(InvalidError):
                LAYOUT.render(replace(contexts.small(), seed_url=url))
                taken.append(url)
        for url, seen in zip(taken, read(cloud_init, taken), strict=True):
            assert seen["fetched"] == fetched_below(url)

    comes_back()


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://h/", "file:///seed/", "/seed/", "HTTP://h/", "http:///seed/", "http://h"),
        *("http://h/seed", "http://h/?a=b", "http://h/#/", "http://h:port/", "http://h:123456/"),
        *("http://h/a b/", " http://h/", "http://h/\n", "http://h/a;h=other/", "http://h/'/"),
        *('http://h/"/', "http://h/\\/", "http://h/`id`/", "http://h/{a}/", "http://h/é/"),
        *("http://h/%s/", "http://h/%2/", "http://h/%/", "http://h/\x7f/", "http://[::1/"),
        *("http://h:0/", "http://h:65536/", "http://.../", "http://a..b/", "http://[:::::]/"),
    ],
)
def test_what_is_no_url_of_a_seed_is_refused_by_its_field(url: str) -> None:
    for check in (LAYOUT.render, check_context):
        with pytest.raises(InvalidError, match=r"context\.seed_url: it is not the URL") as caught:
            check(replace(contexts.small(), seed_url=url))
        assert "ends in /" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["http://bob:hunter2@h/", "https://hunter2@h/", "http://:hunter2@h/", "x://hunter2@/"]
)
def test_a_password_in_the_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidError, match=r"context\.seed_url: .*password") as caught:
        LAYOUT.render(replace(contexts.small(), seed_url=url))
    assert "hunter2" not in str(caught.value.to_json())


def test_an_at_sign_behind_the_host_is_no_password() -> None:
    assert ";s=http://h/~a@b/;" in serial(replace(contexts.small(), seed_url="http://h/~a@b/"))


def test_without_a_seed_nothing_is_rendered() -> None:
    with pytest.raises(InvalidError, match=r"context\.seed_url: it is empty"):
        LAYOUT.render(contexts.small())


def test_a_serial_number_is_as_long_as_every_hypervisor_takes_it() -> None:
    room = MOST_CHARACTERS - len(serial(CONTEXT))
    longest = replace(CONTEXT, seed_url=f"{URL}{'x' * (room - 1)}/")
    assert len(serial(longest)) == 255
    with pytest.raises(InvalidError, match=r"context\.seed_url: .* 256 characters") as caught:
        LAYOUT.render(replace(longest, hostname="web-10"))
    assert caught.value.code == "context-too-large"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ssh_keys", ("ssh-rsa AAAAA",)),
        ("users", (User("alice"),)),
        ("host_keys", (contexts.HOST_KEY,)),
        ("properties", {"a": "b"}),
        ("secrets", {"a": "b"}),
        ("files", (File("/a", b""),)),
        ("scripts", (Script("a", b""),)),
        ("user_data", b""),
    ],
)
def test_what_the_seed_must_tell_is_refused_by_its_field(field: str, value: object) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(InvalidError, match=rf"context\.{field}: .*nocloud-net"):
        LAYOUT.render(replace(CONTEXT, **changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("addresses", ("192.0.2.10/24",)),
        ("nameservers", ("192.0.2.53",)),
        ("search", ("example.org",)),
    ],
)
def test_a_card_that_does_not_ask_dhcp_for_everything_is_refused(
    field: str, value: tuple[str, ...]
) -> None:
    dhcp = Interface(network="lan", mac=contexts.MAC)
    assert serial(replace(CONTEXT, interfaces=(dhcp,))) == serial(CONTEXT)
    changes: dict[str, Any] = {field: value}
    told = replace(Interface(mac=contexts.DHCP_MAC), **changes)
    with pytest.raises(InvalidError, match=rf"context\.interfaces\[1\]\.{field}: "):
        LAYOUT.render(replace(CONTEXT, interfaces=(dhcp, told)))


@pytest.mark.parametrize(
    "name", [plugin.name for plugin in plugins(LAYOUTS) if plugin.name != "nocloud-net"]
)
def test_every_other_layout_refuses_a_seed(name: str) -> None:
    assert layout(name).render(contexts.small())
    with pytest.raises(InvalidError, match=r"context\.seed_url: ") as caught:
        layout(name).render(CONTEXT)
    assert re.search("nocloud-net", caught.value.hint)


def test_the_layout_says_where_it_travels_and_that_it_does_not_answer() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("nocloud-net", "", False)
    assert LAYOUT.carriers == (Carrier.SMBIOS,)
    assert not LAYOUT.answers(CONTEXT)
