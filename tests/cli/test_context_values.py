from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ims_cli.commands.templates import name_from
from ims_cli.context_values import build_context
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Interface, Script, User

if TYPE_CHECKING:
    from pathlib import Path

    from ims_cli.context_options import ContextWords

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@here"


def built(**words: Any) -> Context:
    nothing: ContextWords = {
        "hostname": "",
        "network": "",
        "ips": (),
        "interfaces": (),
        "ssh_keys": (),
        "users": (),
        "host_keys": (),
        "properties": (),
        "secrets": (),
        "files": (),
        "scripts": (),
        "user_data": "",
        "seed_url": "",
    }
    return build_context({**nothing, **words})  # type: ignore[typeddict-item]


def test_no_words_are_an_empty_context() -> None:
    assert built() == Context()


def test_the_short_forms_describe_the_first_card_and_interface_a_further_one() -> None:
    context = built(
        network="lan",
        ips=("192.0.2.5/24", "2001:db8::5/64"),
        interfaces=(
            "network=dmz,ip=198.51.100.2/24,ip=2001:db8:1::2/64,gateway=198.51.100.1,mac=52:54:00:AA:BB:CC,dns=192.0.2.53,search=example.org",
        ),
    )
    assert context.interfaces == (
        Interface("lan", addresses=("192.0.2.5/24", "2001:db8::5/64")),
        Interface(
            "dmz",
            mac="52:54:00:aa:bb:cc",
            addresses=("198.51.100.2/24", "2001:db8:1::2/64"),
            gateways=("198.51.100.1",),
            nameservers=("192.0.2.53",),
            search=("example.org",),
        ),
    )


@pytest.mark.parametrize("word", ["", "ip=", "ip", "color=red", "network=a,network=b", "ip=1,,"])
def test_an_interface_that_is_not_understood(word: str) -> None:
    with pytest.raises(InvalidError, match="--interface"):
        built(interfaces=(word,))


def test_keys_come_as_lines_and_from_files_and_belong_to_every_user(tmp_path: Path) -> None:
    pub = tmp_path / "keys.pub"
    pub.write_text(f'# mine\n\n{KEY} 2\nno-pty,command="a b" {KEY} 3\n')
    context = built(ssh_keys=(KEY, str(pub)), users=("ops:sudo", "app"))
    keys = (KEY, f"{KEY} 2", f'no-pty,command="a b" {KEY} 3')
    assert context.ssh_keys == keys
    assert context.users == (User("ops", keys, sudo=True), User("app", keys))


@pytest.mark.parametrize("text", ["", "# nothing\n", "root:x:0:0:root:/root:/bin/sh\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    pub = tmp_path / "keys.pub"
    pub.write_text(text)
    with pytest.raises(InvalidError, match="holds no public keys"):
        built(ssh_keys=(str(pub),))


def test_properties_are_split_at_the_first_equals_sign_and_may_be_empty() -> None:
    words = ("a=1=2", "b=", "c=$(reboot) 'x' ü\n")
    assert built(properties=words).properties == {"a": "1=2", "b": "", "c": "$(reboot) 'x' ü\n"}


def test_secrets_come_from_files_less_one_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2\n\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from stdin\n")))
    secrets = built(secrets=(f"a={file}", "b=-")).secrets
    assert secrets == {"a": "hunter2\n", "b": "from stdin"}


def test_a_secret_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidError, match="is not UTF-8") as caught:
        built(secrets=(f"a={file}",))
    assert "--file" in caught.value.hint


def test_files_keep_their_bytes_and_take_a_mode(tmp_path: Path) -> None:
    local = tmp_path / "a=b:c"
    local.write_bytes(b"\x00\xff")
    context = built(files=(f"/etc/a={local}", f"/etc/b={local}:600", f"/etc/c={local}:4755"))
    assert context.files == (
        File("/etc/a", b"\x00\xff"),
        File("/etc/b", b"\x00\xff", 0o600),
        File("/etc/c", b"\x00\xff", 0o4755),
    )


def test_scripts_and_user_data(tmp_path: Path) -> None:
    local = tmp_path / "setup.sh"
    local.write_bytes(b"#!/bin/sh\n")
    context = built(scripts=(str(local),), user_data=str(local))
    assert context.scripts == (Script("setup.sh", b"#!/bin/sh\n"),)
    assert context.user_data == b"#!/bin/sh\n"


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(InvalidError, match="is larger than"):
        built(files=("/etc/zero=/dev/zero",))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("debian-12.qcow2", "debian-12"),
        ("/images/My Image_v2.IMG", "My-Image-v2"),
        ("https://example.org/a/noble-cloudimg-amd64.img?x=1#y", "noble-cloudimg-amd64"),
        ("disk.qcow2.img", "disk"),
        ("web-disk001.VMDK", "web-disk001"),
        ("web.vdi", "web"),
        ("web.vhd", "web"),
        ("https://example.org/My%20Appliance.ova?x=1", "My-20Appliance"),
        ("3.raw", "3"),
        ("OVM_EL5U3_X86_PVM_4GB.tgz", "OVM-EL5U3-X86-PVM-4GB"),
        ("el5.img.tar.gz", "el5"),
        ("alpine-3.20.-x.qcow2", "alpine-3.20.x"),
        ("x" * 80, "x" * 63),
        ("---.img", ""),
        ("/", ""),
        ("https://example.org/", ""),
    ],
)
def test_a_templates_name_out_of_its_images(source: str, name: str) -> None:
    assert name_from(source) == name
