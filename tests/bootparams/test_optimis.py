from __future__ import annotations

import io
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import javaproperties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from ims_bootparams import guest
from ims_bootparams.digest import digest_of
from ims_bootparams.media import build
from ims_bootparams.redaction import redacted
from ims_core.errors import InvalidError
from ims_core.models import Carrier, Context, File, Interface, Script, User
from ims_core.registry import layout
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files
from tests.bootparams.judges import needs

if TYPE_CHECKING:
    from pathlib import Path

    from ims_bootparams.layouts import Layout

V1 = layout("optimis")
V2 = layout("optimis-v2")
BOTH = pytest.mark.parametrize("kind", [V1, V2], ids=lambda kind: kind.name)
SHELLS = ("dash", "bash", "busybox ash")
PRIVATE = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + f"{'MIIEpAIBAAKCAQEA' * 4}\n" * 24
    + "c3NoLXJzYQ==\n-----END RSA PRIVATE KEY-----\n"
)
PUBLIC = "ssh-rsa AAAAB3NzaC1yc2E= user@hostname"
OTHER = 'from="192.0.2.0/24" ssh-rsa AAAAB3NzaC1yc2F= $(id) \\n é'
MANIFEST = b'<m:ServiceManifest xmlns:m="http://schemas.optimis.eu/optimis/" m:manifestId="a:1"/>'
STATIC = Interface(
    mac=contexts.MAC,
    addresses=("192.0.2.10/23",),
    gateways=("192.0.2.1",),
    nameservers=("192.0.2.53", "198.51.100.53"),
)
NAMES = st.from_regex("[A-Za-z0-9._-]{1,53}", fullmatch=True)


def overlay(context: Context) -> dict[str, bytes]:
    assert V2.overlay is not None
    return dict(V2.overlay(context))


def on_disc(name: str, content: bytes = b"x") -> File:
    return File(f"/mnt/context/{name}", content)


def full() -> Context:
    return replace(
        contexts.small(),
        interfaces=(STATIC, Interface(mac=contexts.DHCP_MAC)),
        ssh_keys=(PUBLIC, OTHER),
        properties={"dm": "http://192.0.2.7:8080/a=b#c", "Monitor-1": " \t!\\"},
        secrets={"SSH.key": PRIVATE, "VPN.key": "v\r\n", "license.token.0": "t\n"},
        files=(
            on_disc("manifest.xml", MANIFEST),
            on_disc("softwaredeps/a_b_1.dep", b""),
            on_disc("agents/vpn.tar.gz", b"\0\xff"),
        ),
        scripts=(Script("one", b"#!/bin/sh\n"), Script("two", b"\xff")),
    )


def shell_words(name: str) -> list[str]:
    words = name.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return words


# --- What is on the discs -----------------------------------------------------------------------

GUEST = r"""
set -eu
cd "$1"
. ./.metadata
[ "$type" = context ]
[ "$version" -le 1 ] || cd data
head -n 27 securitykeys/SSH.key >"$2/private"
grep ssh-rsa securitykeys/SSH.key >"$2/public"
for file in endpoints/*.properties; do
    name=${file#endpoints/}
    sed -n "s/^${name%.properties}=//p" "$file" | sed 's/\\\(.\)/\1/g' >"$2/${name%.properties}"
done
"""


@pytest.mark.parametrize("shell", SHELLS)
@BOTH
def test_a_guest_that_follows_the_published_rules_finds_its_context(
    kind: Layout, shell: str, tmp_path: Path
) -> None:
    context = replace(full(), properties={"dm": "http://192.0.2.7:8080/a=b#c!"})
    disc = write_files(tmp_path / "disc", kind.render(context))
    found = tmp_path / "found"
    found.mkdir()
    run(*shell_words(shell), "-c", GUEST, "guest", disc, found)
    assert (found / "private").read_text() == PRIVATE
    assert (found / "public").read_text() == f"{PUBLIC}\n{OTHER}\n"
    assert (found / "dm").read_text() == "http://192.0.2.7:8080/a=b#c!\n"


def test_version_2_has_the_same_below_data_and_the_auto_mounter_beside() -> None:
    first, second = dict(V1.render(full())), dict(V2.render(full()))
    assert second.pop("recontext-scripts/auto-mounter.sh") == guest.optimis_auto_mounter()
    assert javaproperties.loads(first.pop(".metadata")) == {"version": "1", "type": "context"}
    assert javaproperties.loads(second.pop(".metadata")) == {"version": "2", "type": "context"}
    assert second == {f"data/{name}": content for name, content in first.items()}


def test_files_and_scripts_are_on_the_disc_as_they_are() -> None:
    files = V1.render(full())
    assert files["manifest.xml"] == MANIFEST
    assert files["softwaredeps/a_b_1.dep"] == b""
    assert files["agents/vpn.tar.gz"] == b"\0\xff"
    assert (files["scripts/0000"], files["scripts/0001"]) == (b"#!/bin/sh\n", b"\xff")
    assert files["scripts/bootstrap.sh"] == guest.optimis_bootstrap()


def test_the_recontextualization_disc_has_the_endpoints_alone() -> None:
    files = overlay(replace(full(), files=(on_disc("endpoints/more"), on_disc("other"))))
    assert javaproperties.loads(files.pop(".metadata")) == {"version": "2", "type": "recontext"}
    assert sorted(files) == [
        *("data/endpoints/Monitor-1.properties", "data/endpoints/dm.properties"),
        "data/endpoints/more",
    ]


@BOTH
def test_a_foreign_reader_finds_all_of_it_on_the_medium(kind: Layout, tmp_path: Path) -> None:
    files = kind.render(full())
    image, tree = tmp_path / "x.iso", tmp_path / "tree"
    image.write_bytes(build(Carrier.ISO, files, kind.label))
    run(needs("xorriso"), "-osirrox", "on", "-indev", image, "-extract", "/", tree)
    found = {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    assert found == files


def test_the_layouts_say_how_they_are_found() -> None:
    for kind in (V1, V2):
        assert (kind.label, kind.carriers) == ("OPTIMIS", (Carrier.ISO,))
        assert not kind.answers(full())
    assert (V1.live, V1.overlay, V2.live) == (False, None, True)


def test_the_same_context_has_the_same_digest() -> None:
    turned = replace(full(), properties=dict(reversed([*full().properties.items()])))
    for render in (V1.render, V2.render, overlay):
        assert digest_of(render(turned)) == digest_of(render(full()))


# --- Values -------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(NAMES, contexts.VALUES)
def test_any_property_comes_back_from_its_properties_file(name: str, value: str) -> None:
    context = replace(contexts.small(), properties={name: value})
    content = V1.render(context)[f"endpoints/{name}.properties"]
    assert javaproperties.load(io.BytesIO(content)) == {name: value}
    assert content.startswith(b"#VMC properties file for service endpoints:\n#Thu Jan 01 ")


STORE_AGAIN = """
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.Properties;

class StoreAgain {
    public static void main(String[] folders) throws IOException {
        for (File file : new File(folders[0]).listFiles()) {
            Properties properties = new Properties();
            properties.load(new FileInputStream(file));
            String name = file.getName().replaceAll("\\\\.properties$", "");
            File value = new File(folders[1], name + ".value");
            try (Writer writer = new FileWriter(value, StandardCharsets.UTF_8)) {
                writer.write(properties.getProperty(name));
            }
            String title = "VMC properties file for service endpoints:";
            properties.store(new FileOutputStream(new File(folders[1], name)), title);
        }
    }
}
"""


def test_a_real_java_reads_each_value_and_would_write_the_same_bytes(tmp_path: Path) -> None:
    needs("javac")
    every = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x10000), 0x1F642, 0x10FFFF]))
    texts = [*contexts.HOSTILE, every, "  two", " ", "a b ", "#!", "C:\\x=y"]
    values = {f"p.{index}": text for index, text in enumerate(texts)}
    files = V1.render(replace(contexts.small(), properties=values))
    disc = write_files(tmp_path / "disc", files)
    again = write_files(tmp_path / "again", {"StoreAgain.java": STORE_AGAIN.encode()})
    source = again / "StoreAgain.java"
    run(needs("java"), "-XX:TieredStopAtLevel=1", source, disc / "endpoints", again)
    for name, value in values.items():
        assert (again / f"{name}.value").read_bytes() == value.encode()
        ours = files[f"endpoints/{name}.properties"].split(b"\n")
        theirs = (again / name).read_bytes().split(b"\n")
        assert [*ours[:1], *ours[2:]] == [*theirs[:1], *theirs[2:]]


@settings(max_examples=50)
@given(contexts.VALUES, st.lists(contexts.VALUES, max_size=3))
def test_any_secret_comes_back_from_a_file_of_its_own(key: str, tokens: list[str]) -> None:
    secrets = {f"license.token.{index}": token for index, token in enumerate(tokens)}
    files = V1.render(replace(contexts.small(), secrets={**secrets, "BT.key": key, "DM.key": key}))
    assert files["securitykeys/BT.key"] == files["securitykeys/DM.key"] == key.encode()
    for name, token in secrets.items():
        assert files[f"licensetoken/{name}"] == token.encode()
    assert "securitykeys/SSH.key" not in files


def environment(context: Context) -> dict[str, str]:
    space = "{http://schemas.dmtf.org/ovf/environment/1}"
    found = etree.fromstring(V1.render(context)["ovf-env.xml"]).iter(f"{space}Property")
    return {str(each.get(f"{space}key")): str(each.get(f"{space}value")) for each in found}


def test_the_environment_tells_the_host_name_and_the_static_card() -> None:
    assert environment(full()) == {
        "hostname": "web-1",
        "ip": "192.0.2.10",
        "mask": "255.255.254.0",
        "gw": "192.0.2.1",
        "dns1": "192.0.2.53",
        "dns2": "198.51.100.53",
    }
    alone = replace(STATIC, gateways=(), nameservers=())
    told = environment(replace(full(), interfaces=(alone,)))
    assert set(told) == {"hostname", "ip", "mask"}
    dhcp = Interface(mac=contexts.MAC)
    assert environment(replace(full(), interfaces=(dhcp,))) == {"hostname": "web-1"}


# --- What is refused ----------------------------------------------------------------------------

FIRST = "context.interfaces[0]"
SECOND = Interface(mac=contexts.DHCP_MAC, addresses=("198.51.100.7/24",))
DHCP = Interface(mac=contexts.MAC)


def cards(*interfaces: Interface) -> Context:
    return replace(contexts.small(), interfaces=interfaces)


def secret(name: str, value: str = "s3cret") -> Context:
    return replace(contexts.small(), secrets={name: value})


def properties(*names: str) -> Context:
    return replace(contexts.small(), properties=dict.fromkeys(names, "x"))


def files(*given: File) -> Context:
    return replace(full(), files=given)


REFUSED = [
    ("context.users", replace(full(), users=(User("bob"),))),
    ("context.host_keys", replace(full(), host_keys=(contexts.HOST_KEY,))),
    ("context.user_data", replace(full(), user_data=b"#!/bin/sh\n")),
    ("context.seed_url", replace(full(), seed_url="http://192.0.2.1/seed/")),
    ("context.files", files(File("/etc/motd", b"s3cret"))),
    ("context.files: /mnt/context/scripts/Bootstrap.sh", files(on_disc("scripts/Bootstrap.sh"))),
    ("context.files: /mnt/context/endpoints/dm.pr", files(on_disc("endpoints/dm.properties"))),
    ("context.files: ", files(on_disc("endpoints"))),
    ("context.files: ", files(on_disc("more"), on_disc("MORE"))),
    ("context.properties['a b']", properties("a b")),
    ("context.properties['a/b']", properties("a/b")),
    ("context.properties['é']", properties("é")),
    (f"context.properties['{'a' * 54}']", properties("a" * 54)),
    ("context.properties['A']", properties("a", "A")),
    ("context.secrets['password']", secret("password")),
    ("context.secrets['license.token.1']", secret("license.token.1")),
    ("context.secrets['license.token.00']", secret("license.token.00")),
    ("context.secrets['ssh.key']", secret("ssh.key")),
    *(
        ("context.secrets['SSH.key']", secret("SSH.key", value))
        for value in (
            *("", "s3cret", PRIVATE.replace("\n", "\ns3cret\n", 1), PRIVATE[:-30] + "\n"),
            *(PRIVATE.replace("\n", "\r\n"), PRIVATE + "\n", f"{PUBLIC}\n" * 27),
        )
    ),
    ("context.ssh_keys[1]", replace(full(), ssh_keys=(PUBLIC, "ssh-ed25519 AAAA ssh-rsa"))),
    ("context.default_user", replace(full(), default_user="debian")),
    (f"{FIRST}.addresses[0]", cards(replace(STATIC, addresses=("2001:db8::1/64",), gateways=()))),
    (f"{FIRST}.addresses[1]", cards(replace(STATIC, addresses=("192.0.2.3/24", "192.0.2.4/24")))),
    (f"{FIRST}.nameservers[0]", cards(replace(STATIC, nameservers=("2001:db8::53",)))),
    (f"{FIRST}.nameservers[2]", cards(replace(STATIC, nameservers=("192.0.2.53",) * 3))),
    (f"{FIRST}.nameservers", cards(replace(DHCP, nameservers=("192.0.2.53",)))),
    (
        "context.interfaces[1].nameservers",
        cards(DHCP, replace(DHCP, mac=contexts.DHCP_MAC, nameservers=("192.0.2.53",))),
    ),
    (f"{FIRST}.search", cards(replace(STATIC, search=("example.org",)))),
    (f"{FIRST}.search", cards(replace(DHCP, search=("example.org",)))),
    ("context.interfaces[1].addresses", cards(STATIC, SECOND)),
    ("context.interfaces[1].addresses", cards(DHCP, SECOND)),
    *(
        ("context.files[1].content", files(on_disc("other"), on_disc("manifest.xml", content)))
        for content in (
            *(b"", b"s3cret", b"<a>", MANIFEST + b"x", b"<ServiceManifest/>", b"\xff\xfe\0"),
            MANIFEST.replace(b"optimis/", b"optimis/service", 1),
            b"<!DOCTYPE a>" + MANIFEST,
            b"(redacted, 5 bytes)\n<a>",
            b'<!DOCTYPE a [<!ENTITY s "s3cret">]>' + MANIFEST,
            b'<?xml version="1.0" encoding="s3cret"?>' + MANIFEST,
        )
    ),
]


@pytest.mark.parametrize(("field", "context"), REFUSED)
def test_what_it_cannot_carry_is_refused_by_name(field: str, context: Context) -> None:
    for render in (V1.render, V2.render, overlay):
        with pytest.raises(InvalidError) as caught:
            render(context)
        assert str(caught.value).startswith(field)
        assert caught.value.hint
        assert "s3cret" not in str(caught.value.to_json())


def test_keys_of_root_are_root_s_by_name_too() -> None:
    assert V1.render(replace(full(), default_user="root")) == V1.render(full())


def test_a_file_that_no_medium_could_have_is_refused_by_name() -> None:
    for kind in (V1, V2):
        with pytest.raises(InvalidError, match=r"^context\.files\[1\]\.path: "):
            kind.render(files(on_disc("a"), on_disc("a b")))


def test_a_file_that_is_too_deep_for_version_2_is_refused_there() -> None:
    context = files(on_disc("a/b/c/d/e/f/g"))
    assert V1.render(context)
    with pytest.raises(InvalidError, match=r"^context\.files: .*'data/a/b/c/d/e/f/g'"):
        V2.render(context)


def test_a_context_without_its_secrets_can_be_shown() -> None:
    context = replace(full(), files=(on_disc("manifest.xml", MANIFEST),))
    shown = V1.render(redacted(context))
    assert set(shown) == set(V1.render(context))
    assert shown["securitykeys/SSH.key"].decode().splitlines() == [
        *("(redacted)", *[""] * 26, PUBLIC, OTHER)
    ]
    assert b"MIIE" not in b"".join(shown.values())
