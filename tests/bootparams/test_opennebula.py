from __future__ import annotations

import base64
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from ims_bootparams.layouts.cloud_init.config import STEP
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Interface, Script
from ims_core.registry import layout
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bootparams.real_cloud_init import CloudInit

LAYOUT = layout("opennebula")
STATIC = Interface(
    mac=contexts.MAC,
    addresses=("192.0.2.10/24", "2001:db8::10/64"),
    gateways=("192.0.2.1", "fe80::1"),
    nameservers=("192.0.2.53", "2001:db8::53"),
    search=("example.org", "example.com"),
)
SECOND = Interface(mac=contexts.DHCP_MAC, addresses=("198.51.100.7/25",))


def full() -> Context:
    return replace(contexts.full(), interfaces=(STATIC, SECOND))


def sourced(shell: list[str], script: bytes) -> dict[str, str]:
    """What a shell knows after it has sourced the file, and nothing else."""
    names = sorted(set(re.findall(rb"^([A-Z][A-Z0-9_]*)=", script, re.MULTILINE)))
    words = b"".join(b'printf "%%s\\0" "${%s-}"\n' % name for name in names)
    done = subprocess.run(
        [*shell, "-eu"], input=script + words, capture_output=True, check=True, env={}
    )
    values = done.stdout.split(b"\0")[:-1]
    return {n.decode(): v.decode() for n, v in zip(names, values, strict=True)}


def test_cloud_init_reads_every_field_of_a_context(cloud_init: CloudInit, tmp_path: Path) -> None:
    context = full()
    (seen,) = cloud_init.read(tmp_path, "opennebula", context)
    assert seen["meta_data"]["local-hostname"] == context.hostname
    assert seen["public_keys"] == list(context.ssh_keys)
    assert [user["name"] for user in seen["config"]["users"][1:]] == ["alice", "bob"]
    files = {path: base64.b64decode(content) for path, content in seen["files"].items()}
    assert files[context.files[0].path] == context.files[0].content
    assert seen["config"]["runcmd"][2] == ["sh", STEP, "scripts.0", "/var/lib/ims/scripts/0000"]
    properties = [*context.properties.items(), *context.secrets.items()]
    told = seen["meta_data"]
    assert [
        (told[f"IMS_PROPERTY_{i}_NAME"], told[f"IMS_PROPERTY_{i}_VALUE"])
        for i in range(len(properties))
    ] == properties


def test_cloud_init_s_renderers_give_the_cards_their_addresses_and_gateways(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    (seen,) = cloud_init.read(tmp_path, "opennebula", full())
    for line in (
        *("MACAddress=52:54:00:12:34:56", "Address=192.0.2.10/24", "Address=2001:db8::10/64"),
        *("Gateway=192.0.2.1", "Gateway=fe80::1", "DNS=192.0.2.53 2001:db8::53"),
        *("Domains=example.org example.com", "Address=198.51.100.7/25"),
    ):
        assert line in seen["network"]["networkd"].splitlines()
    assert "DHCP=ipv4" not in seen["network"]["networkd"]


def test_cloud_init_asks_dhcp_by_itself_when_nothing_is_told(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    context = replace(contexts.small(), interfaces=(Interface(mac=contexts.MAC),))
    (seen,) = cloud_init.read(tmp_path, "opennebula", context)
    assert "network" not in seen


@pytest.mark.parametrize(
    ("cards", "index"),
    [
        ((replace(STATIC, addresses=("192.0.2.10/24", "192.0.2.11/24"), gateways=()),), 0),
        ((replace(STATIC, addresses=("2001:db8::1/64", "2001:db8::2/64"), gateways=()),), 0),
        ((replace(STATIC, addresses=("2001:db8::1/64",), gateways=()),), 0),
        ((STATIC, Interface(mac=contexts.DHCP_MAC)), 1),
        ((Interface(mac=contexts.MAC), Interface(mac=contexts.DHCP_MAC)), 0),
    ],
)
def test_what_cloud_init_would_misunderstand_is_refused_by_name(
    cards: tuple[Interface, ...], index: int
) -> None:
    with pytest.raises(InvalidError, match=rf"context\.interfaces\[{index}\]\.addresses"):
        LAYOUT.render(replace(contexts.small(), interfaces=cards))


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox ash"])
def test_any_shell_that_sources_it_gets_every_value_back(shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")

    @settings(max_examples=60)
    @given(contexts.VALUES)
    def comes_back(value: str) -> None:
        context = replace(contexts.small(), properties={"p": value}, secrets={"s": value})
        values = sourced(words, LAYOUT.render(context)["context.sh"])
        assert values["IMS_PROPERTY_0_VALUE"] == values["IMS_PROPERTY_1_VALUE"] == value

    comes_back()


def test_nothing_in_it_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    sourced(
        ["bash"], LAYOUT.render(replace(contexts.full(str(marker)), interfaces=()))["context.sh"]
    )
    assert not marker.exists()


def test_it_looks_as_opennebula_writes_it() -> None:
    lines = LAYOUT.render(full())["context.sh"].decode().split("\n")
    assert lines[0] == "# Context variables generated by OpenNebula"
    names = [line.partition("=")[0] for line in lines if re.match(r"[A-Z0-9_]+='", line)]
    assert names == sorted(names)
    assert {"ETH0_MAC", "ETH0_IP", "ETH0_MASK", "ETH0_GATEWAY", "ETH0_IP6", "ETH1_IP"} <= set(names)


def test_its_cards_and_names_are_those_of_opennebula() -> None:
    """As ``VirtualMachineContext.cc`` names them, and one-contextd asks for them."""
    card = Interface(
        mac=contexts.MAC,
        addresses=("192.0.2.130/25", "2001:db8::10/64"),
        gateways=("192.0.2.129", "fe80::1"),
        nameservers=("192.0.2.53", "2001:db8::53"),
        search=("example.org", "example.com"),
    )
    context = replace(contexts.small(), interfaces=(card,), default_user="debian")
    assert sourced(["dash"], LAYOUT.render(context)["context.sh"]).items() >= {
        ("NETWORK", "YES"),
        ("HOSTNAME", "web-1"),
        ("SET_HOSTNAME", "web-1"),
        ("USERNAME", "debian"),
        ("ETH0_MAC", contexts.MAC),
        ("ETH0_METHOD", "static"),
        ("ETH0_IP", "192.0.2.130"),
        ("ETH0_NETWORK", "192.0.2.128"),
        ("ETH0_MASK", "255.255.255.128"),
        ("ETH0_GATEWAY", "192.0.2.129"),
        ("ETH0_IP6_METHOD", "static"),
        ("ETH0_IP6", "2001:db8::10"),
        ("ETH0_IP6_PREFIX_LENGTH", "64"),
        ("ETH0_IP6_GATEWAY", "fe80::1"),
        ("ETH0_DNS", "192.0.2.53 2001:db8::53"),
        ("ETH0_SEARCH_DOMAIN", "example.org example.com"),
    }
    dynamic = replace(context, interfaces=(Interface(mac=contexts.MAC),))
    variables = sourced(["dash"], LAYOUT.render(dynamic)["context.sh"])
    assert variables["ETH0_METHOD"] == "dhcp"
    assert "ETH0_IP" not in variables


def test_the_guest_answers_unless_the_user_data_is_raw(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    raw = replace(contexts.small(), user_data=b"#cloud-config\npackages: [vim]\n")
    assert LAYOUT.answers(contexts.small())
    assert not LAYOUT.answers(raw)
    (ours, theirs) = cloud_init.read(tmp_path, "opennebula", contexts.small(), raw)
    [[shell, option, script]] = ours["config"]["bootcmd"]
    assert (shell, option) == ("sh", "-c")
    assert "labels='CONTEXT CONTEXT'" in script
    assert base64.b64decode(theirs["user_data"]) == raw.user_data


def test_its_start_script_runs_each_script_once_whoever_was_first(tmp_path: Path) -> None:
    """As one-contextd runs it: in the medium's directory, at each boot."""
    context = replace(
        contexts.small(),
        scripts=(
            Script("first", f"#!/bin/sh\necho first >>{tmp_path}/ran\n".encode()),
            Script("broken", f"#!/bin/sh\necho second >>{tmp_path}/ran\nexit 3\n".encode()),
        ),
    )
    state = tmp_path / "state"
    files = {
        name: content.replace(b"/var/lib/ims", str(state).encode())
        for name, content in LAYOUT.render(context).items()
    }
    medium = write_files(tmp_path / "medium", files)
    values = sourced(["bash"], files["context.sh"])
    script = base64.b64decode(values["START_SCRIPT_BASE64"])
    script = script.replace(b"/var/lib/ims", str(state).encode())
    for _ in range(2):
        run("sh", "-c", 'cd "$1" && sh -s || true', "sh", medium, stdin=script)
    assert (tmp_path / "ran").read_text() == "first\nsecond\n"
    assert (state / "cloud-init/results").read_text().splitlines() == [
        "scripts.0 ok",
        "scripts.1 exit status 3; see /var/log/cloud-init-output.log",
    ]
    assert set(values["FILES"].split()) == {"ims-step", "script-0000", "script-0001"}


def test_the_layout_says_how_it_is_found() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("opennebula", "CONTEXT", False)


def test_a_variable_beside_which_nothing_could_be_started_is_refused() -> None:
    fits = replace(full(), files=(), scripts=(), properties={"a": "x" * 60_000})
    assert LAYOUT.render(fits)
    with pytest.raises(InvalidError, match="USER_DATA would have") as caught:
        LAYOUT.render(replace(fits, properties={"a": "x" * 110_000}))
    assert caught.value.code == "context-too-large"


def test_a_variable_that_just_fits_lets_programs_be_started(tmp_path: Path) -> None:
    largest: dict[str, bytes] = {}
    for size in range(97_000, 99_000, 3):
        with suppress(InvalidError):
            largest = dict(LAYOUT.render(replace(contexts.small(), user_data=b"x" * size)))
    assert len(largest["context.sh"]) > 127 * 1024
    write_files(tmp_path, largest)
    run("sh", "-c", f"set -a; . '{tmp_path}/context.sh'; exec /bin/true")


def test_a_property_that_a_shell_can_name_is_a_variable_of_that_name_too() -> None:
    properties = {"hostname": "MAINHOST", "ip_gen": "10.0.0.7'$(id)", "no name": "x"}
    context = replace(contexts.small(), properties=properties, secrets={"root_pass": "a\nb"})
    script = LAYOUT.render(context)["context.sh"]
    done = subprocess.run(
        ["bash", "-euc", '. /dev/stdin; printf "%s|" "$hostname" "$ip_gen" "$root_pass"'],
        input=script, capture_output=True, text=False, check=True, env={},
    )  # fmt: skip
    assert done.stdout == b"MAINHOST|10.0.0.7'$(id)|a\nb|"


#: A shell or one-contextd acts on them, bash refuses to set them, or they are the layout's own.
NOT_DATA = (
    *("PATH", "IFS", "ENV", "BASH_ENV", "PS4", "SHELLOPTS", "UID", "PPID", "LD_PRELOAD", "_"),
    *("START_SCRIPT", "START_SCRIPT_BASE64", "INIT_SCRIPTS", "READY_SCRIPT_PATH", "USER_DATA"),
    *("ETH0_MAC", "IMS_PROPERTY_0_NAME", "SET_HOSTNAME", "SSH_PUBLIC_KEY", "SSH_KEY", "USERNAME"),
    *("FILES", "PUBLIC_KEY", "EC2_USER_DATA", "TMPDIR", "PYTHONPATH", "PERL5OPT", "https_proxy"),
)
#: Of bash's manual, "Shell Variables", what it knows only once it is set.
UNSET = (
    *("BASH_COMPAT", "BASH_LOADABLES_PATH", "CDPATH", "COMP_LINE", "EXECIGNORE", "FIGNORE"),
    *("FUNCNEST", "GLOBIGNORE", "GLOBSORT", "HISTFILE", "IGNOREEOF", "MAILCHECK", "SRANDOM"),
    *("POSIXLY_CORRECT", "PROMPT_COMMAND", "READLINE_LINE", "TIMEFORMAT", "TMOUT", "HISTCMD"),
)


@pytest.mark.parametrize("name", NOT_DATA)
def test_no_property_makes_a_shell_or_a_guest_s_package_do_something(name: str) -> None:
    context = replace(full(), properties={name: "harm"}, secrets={})
    variables = sourced(["bash"], LAYOUT.render(context)["context.sh"])
    assert variables.get(name) != "harm"
    assert variables["IMS_PROPERTY_0_VALUE"] == "harm"


@pytest.mark.parametrize("name", [each for each in NOT_DATA if each != "ETH0_MAC"])
def test_the_layout_s_own_names_are_its_own_where_it_does_not_need_them(name: str) -> None:
    context = replace(contexts.small(), properties={name: "harm"})
    variables = sourced(["bash"], LAYOUT.render(context)["context.sh"])
    assert variables.get(name) != "harm"


def test_no_property_is_evaluated_by_a_shell_or_stops_its_work(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    known = run("bash", "-c", "compgen -v").decode().split()
    assert {"RANDOM", "SECONDS", "BASH_VERSION", "IFS"} <= {*known}
    properties = dict.fromkeys((*known, *UNSET), f"a[$(touch {marker})]")
    script = LAYOUT.render(replace(contexts.small(), properties=properties))["context.sh"]
    (tmp_path / "context.sh").write_bytes(script)
    after = 'f() { :; }; f && ls / >/dev/null && [ -n "$(echo /*)" ] && echo "well: $UID $RANDOM"'
    for shell in (("bash",), ("bash", "--posix"), ("dash",), ("busybox", "ash")):
        done = run(*shell, "-c", f". '{tmp_path}/context.sh'; {after}")
        assert done.startswith(b"well: "), shell
        assert not marker.exists(), shell


def test_files_of_the_medium_lie_on_it_and_are_listed() -> None:
    files = (File("/mnt/context/service.conf", b"\0\xff"), File("/etc/motd", b""))
    rendered = LAYOUT.render(replace(contexts.small(), files=files))
    assert rendered["service.conf"] == b"\0\xff"
    assert sourced(["dash"], rendered["context.sh"])["FILES"] == "service.conf"
    assert b"service.conf" not in rendered["ims.checks"]


def test_what_the_user_says_of_a_card_wins_but_for_its_mac() -> None:
    said = {"ETH0_DNS": "9.9.9.9", "ETH0_MAC": "02:00:00:00:00:01", "ETH7_IP": "192.0.2.77"}
    variables = sourced(
        ["dash"], LAYOUT.render(replace(full(), properties=said, secrets={}))["context.sh"]
    )
    assert variables["ETH0_DNS"] == "9.9.9.9"
    assert variables["ETH0_MAC"] == contexts.MAC
    assert variables["ETH7_IP"] == "192.0.2.77"
