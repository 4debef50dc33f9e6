"""The disc for several readers, read by what follows HEPiX' published rules and by cloud-init."""

from __future__ import annotations

import configparser
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.errors import InvalidError
from ims_core.models import File, Interface, Script, User
from ims_core.registry import layout
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files
from tests.bootparams.machine import machine
from tests.shellcheck import shellcheck

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.models import Context
    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("hepix")

#: What HEPiX' services do with a disc that is mounted on /disc, in their order, at boot and then
#: at shutdown. Both scripts are sourced, in the copy's directory, after init.sh and context.sh.
HEPIX = """
[ -f /disc/prolog.sh ] || [ -f /disc/context.sh ] || exit 8
mkdir -p /var/lib/hepix && cp -R /disc /var/lib/hepix/context && chmod 700 /var/lib/hepix/context
cd /var/lib/hepix/context || exit 9
for phase in start stop; do
    for script in prolog.sh epilog.sh; do
        (
            [ ! -f init.sh ] || . ./init.sh
            [ ! -f context.sh ] || . ./context.sh
            set -- "$phase"
            . "./$script"
            echo "$script $phase ended with $?" >>/log
            [ "$phase" = start ] || exit 0
            printf %s "${EC2_USER_DATA-}" | base64 -d >/user-data
            printf %s "${PUBLIC_KEY-}" >/public-key
            hostname >/hostname
        ) || exit
    done
done
"""


def hepix(root: Path, context: Context) -> Path:
    """What a machine with nothing but busybox and HEPiX' services looks like afterwards."""
    write_files(root / "disc", {**LAYOUT.render(context), "ims.nonce": b"1\n"})
    namespaces = ("unshare", "--uts", "--mount", "--pid", "--fork")
    run(*namespaces, "chroot", root, "/bin/sh", "-euc", HEPIX, "hepix")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return machine(tmp_path / "machine")


def test_hepix_sources_both_scripts_and_the_context_is_applied(root: Path) -> None:
    noting = b'#!/bin/sh\necho "$0 $(cat /etc/motd)" >>/ran\n'
    context = replace(
        contexts.small(),
        ssh_keys=("ssh-ed25519 AAAA $(touch /marker)", "ssh-rsa AAAABBBB"),
        files=(
            File("/etc/motd", b"hello\n\0\xff", mode=0o600, owner="0:42"),
            File("/srv/it's $(touch /marker)/a b", b"", mode=0o4755),
        ),
        scripts=(Script("second", noting), Script("again", noting)),
        user_data=b"[amiconfig]\nplugins=cernvm\n\0\xff",
    )
    hepix(root, context)
    log = (root / "log").read_text().splitlines()
    assert log == [
        f"{script} {phase} ended with 0"
        for phase in ("start", "stop")
        for script in ("prolog.sh", "epilog.sh")
    ]
    assert (root / "hostname").read_text() == f"{context.hostname}\n"
    assert (root / "user-data").read_bytes() == context.user_data
    assert (root / "public-key").read_text() == "\n".join(context.ssh_keys)
    for file in context.files:
        made = root / file.path[1:]
        assert made.read_bytes() == file.content
        assert stat.S_IMODE(made.stat().st_mode) == file.mode
    assert (root / "etc/motd").stat().st_gid == 42
    ran = (root / "ran").read_bytes().split(b"\n")
    assert [line.split()[0] for line in ran if line.startswith(b"/var")] == [
        b"/var/lib/ims/scripts/0000",
        b"/var/lib/ims/scripts/0001",
    ]
    assert not (root / "marker").exists()


def test_what_was_done_at_the_first_boot_is_not_done_again(root: Path) -> None:
    context = replace(contexts.small(), scripts=(Script("s", b"#!/bin/sh\necho ran >>/ran\n"),))
    hepix(root, context)
    (root / "log").unlink()
    run("rm", "-rf", root / "var/lib/hepix", root / "disc")  # as the prolog's `stop` does
    hepix(root, context)
    assert (root / "ran").read_text() == "ran\n"


def test_values_of_any_text_are_data_to_hepix(root: Path) -> None:
    hostile = contexts.hostile_values("/marker")
    context = replace(
        contexts.small(),
        properties={f"p{i}": text for i, text in enumerate(hostile)},
        secrets={"PATH": "/nowhere", "IFS": "i", "BASH_ENV": "/x", "PS4": "$(touch /marker)"},
    )
    hepix(root, context)
    assert not (root / "marker").exists()


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(root: Path) -> None:
    write_files(root, {"victim": b"mine"})
    (root / "etc/motd").symlink_to("/victim")
    hepix(root, replace(contexts.small(), files=(File("/etc/motd", b"hello"),)))
    assert (root / "victim").read_bytes() == b"mine"
    assert (root / "etc/motd").read_bytes() == b"hello"


def test_amiconfig_learns_the_host_name_where_the_user_says_nothing(root: Path) -> None:
    hepix(root, contexts.small())
    ini = configparser.ConfigParser()
    ini.read_string((root / "user-data").read_text())
    assert ini["amiconfig"]["plugins"].split() == ["hostname"]
    assert ini["hostname"]["hostname"] == contexts.small().hostname


def test_cloud_init_reads_the_same_disc_as_opennebula_s(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    cards = (Interface(mac=contexts.MAC, addresses=("192.0.2.10/24",)),)
    context = replace(contexts.full(), interfaces=cards)
    (other,) = cloud_init.read(tmp_path / "a", "opennebula", context)
    (seen,) = cloud_init.read(tmp_path / "b", "opennebula", context, by="hepix")
    for key in ("EC2_USER_DATA", "ONE_CONTEXT_PATH", "PUBLIC_KEY"):
        seen["meta_data"].pop(key)
    assert seen == other


def test_shellcheck_has_nothing_to_say_of_the_scripts() -> None:
    files = LAYOUT.render(replace(contexts.full(), interfaces=()))
    for name in ("prolog.sh", "epilog.sh"):
        assert shellcheck(files[name].decode(), exclude="SC2016") == ""


@pytest.mark.parametrize(
    "name",
    ["prolog.sh", "context.sh", "IMS-STEP", "ims.checks", "file-0000", "ims.nonce", "IMS.files"],
)
def test_a_file_with_a_name_of_the_disc_s_own_is_refused(name: str) -> None:
    files = (File(f"/mnt/context/{name}", b""), File("/etc/motd", b""))
    with pytest.raises(InvalidError, match=rf"context\.files: /mnt/context/{name}"):
        LAYOUT.render(replace(contexts.small(), files=files))


def test_a_name_that_no_medium_could_have_is_refused_by_its_field() -> None:
    files = (File("/etc/motd", b""), File("/mnt/context/it's", b""))
    with pytest.raises(InvalidError, match=r"context\.files\[1\]\.path"):
        LAYOUT.render(replace(contexts.small(), files=files))


def test_stratuslab_has_its_own_label_and_the_same_files() -> None:
    other = layout("stratuslab")
    assert other.label == "_STRATUSLAB"
    told = replace(contexts.small(), ssh_keys=("ssh-rsa AAAA",), properties={"a": "b"})
    for context in (contexts.small(), told):
        assert other.render(context) == LAYOUT.render(context)
        assert not other.answers(context)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"users": (User("bob"),)}, "users"),
        ({"host_keys": (contexts.HOST_KEY,)}, "host_keys"),
        ({"ssh_keys": ("ssh-rsa AAAA",), "default_user": "debian"}, "default_user"),
    ],
)
def test_stratuslab_refuses_what_hepix_does_not_know(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidError, match=rf"context\.{named}: ") as caught:
        layout("stratuslab").render(replace(contexts.small(), **fields))
    assert caught.value.hint


def test_a_host_name_that_linux_would_not_take_is_told_without_its_domain() -> None:
    name = f"{'x' * 40}.{'y' * 40}"
    prolog = LAYOUT.render(replace(contexts.small(), hostname=name))["prolog.sh"].decode()
    assert f"hostname {'x' * 40}\n" in prolog
    assert (
        f"hostname {name[:64]}\n"
        in LAYOUT.render(replace(contexts.small(), hostname=name[:64]))["prolog.sh"].decode()
    )


@pytest.mark.parametrize("names", [("a", "A"), ("a", "a/b"), ("d/a", "D/b")])
def test_files_of_the_caller_s_that_no_disc_could_hold_are_refused(names: tuple[str, str]) -> None:
    files = tuple(File(f"/mnt/context/{name}", b"") for name in names)
    with pytest.raises(InvalidError, match=r"^context\.files") as caught:
        LAYOUT.render(replace(contexts.small(), files=files))
    assert caught.value.hint
