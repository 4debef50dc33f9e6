from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_bootparams.layouts.bootparams import LAYOUT, parse, render
from ims_core.errors import InvalidError
from ims_core.models import Context, File, Script
from tests.bootparams import contexts

DOCUMENT = Path(__file__).parents[2] / "docs" / "bootparams-conf.md"


def conf(context: Context) -> bytes:
    return render(context)["bootparams.conf"]


def sourced(shell: list[str], data: bytes, keys: list[str]) -> list[str]:
    """What a shell has in these variables after it sourced the file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        program = '. "$1"; shift; for key; do eval "printf \'%s\\0\' \\"\\$$key\\""; done'
        output = subprocess.check_output(
            [*shell, "-c", program, "sh", file.name, *keys], env={"LC_ALL": "C", "PATH": "/nowhere"}
        )
    return [value.decode() for value in output.split(b"\0")[:-1]]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(contexts.VALUES, min_size=20, max_size=40))
def test_a_shell_gets_every_value_back_by_sourcing(shell: list[str], values: list[str]) -> None:
    properties = {f"p{index}": value for index, value in enumerate(values)}
    data = conf(replace(contexts.small(), properties=properties))
    keys = [f"IMS_PROPERTY_{index}_VALUE" for index in range(len(values))]
    assert sourced(shell, data, keys) == values


def test_a_shell_that_sources_hostile_values_executes_none(
    shell: list[str], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    context = contexts.full(str(marker))
    names = list(context.properties)
    data = conf(context)
    keys = [f"IMS_PROPERTY_{i}_{part}" for i in range(len(names)) for part in ("NAME", "VALUE")]
    expected = [part for item in context.properties.items() for part in item]
    assert sourced(shell, data, keys) == expected
    assert not marker.exists()


@given(
    values=st.dictionaries(
        contexts.VALUES.filter(lambda t: t and not set("\n=") & set(t)), contexts.VALUES
    )
)
def test_parse_gives_every_value_back(values: dict[str, str]) -> None:
    parsed = parse(conf(replace(contexts.small(), properties=values)))
    count = int(parsed["IMS_PROPERTIES"])
    back = {
        parsed[f"IMS_PROPERTY_{i}_NAME"]: parsed[f"IMS_PROPERTY_{i}_VALUE"] for i in range(count)
    }
    assert back == values


def test_every_field_of_a_context_arrives() -> None:
    context = replace(contexts.full(), user_data=b"\0raw", default_user="admin")
    files = render(context)
    parsed = parse(files["bootparams.conf"])
    wanted = {
        "IMS_FORMAT": "1",
        "IMS_INSTANCE_ID": context.instance_id,
        "IMS_HOSTNAME": "web-1.example.org",
        "IMS_SSH_KEYS": "\n".join(context.ssh_keys),
        "IMS_DEFAULT_USER": "admin",
        "IMS_INTERFACES": "2",
        "IMS_INTERFACE_0_MAC": contexts.MAC,
        "IMS_INTERFACE_0_METHOD": "static",
        "IMS_INTERFACE_0_ADDRESSES": "192.0.2.10/24 2001:db8::10/64",
        "IMS_INTERFACE_0_GATEWAYS": "192.0.2.1 fe80::1",
        "IMS_INTERFACE_0_NAMESERVERS": "192.0.2.53 2001:db8::53",
        "IMS_INTERFACE_0_SEARCH": "example.org example.com",
        "IMS_INTERFACE_1_METHOD": "dhcp",
        "IMS_INTERFACE_1_ADDRESSES": "",
        "IMS_USERS": "2",
        "IMS_USER_0_NAME": "alice",
        "IMS_USER_0_SSH_KEYS": "ssh-ed25519 AAAACCCC a",
        "IMS_USER_0_PASSWORD_HASH": contexts.HASH,
        "IMS_USER_0_SUDO": "yes",
        "IMS_USER_1_SUDO": "no",
        "IMS_PROPERTIES": str(len(context.properties) + 1),
        f"IMS_PROPERTY_{len(context.properties)}_NAME": "pass word",
        f"IMS_PROPERTY_{len(context.properties)}_VALUE": "s3cret'$(id)",
        "IMS_FILES": "2",
        "IMS_FILE_0_PATH": context.files[0].path,
        "IMS_FILE_0_MODE": "0640",
        "IMS_FILE_0_OWNER": "bob:bob",
        "IMS_FILE_0_SOURCE": "files/0000",
        "IMS_SCRIPTS": "2",
        "IMS_SCRIPT_1_NAME": "second one",
        "IMS_SCRIPT_1_SOURCE": "scripts/0001",
        "IMS_USER_DATA_SOURCE": "user-data",
    }
    assert {key: parsed.get(key) for key in wanted} == wanted
    assert files["files/0000"] == b"\0\xff\n'"
    assert files["scripts/0001"] == b"exit 3\n"
    assert files["user-data"] == b"\0raw"
    assert sorted(files) == [
        "bootparams.conf", "files/0000", "files/0001", "scripts/0000", "scripts/0001", "user-data",
    ]  # fmt: skip


def test_the_document_names_every_key_and_no_other() -> None:
    keys = re.compile(r"^\| `(IMS_[A-Za-z0-9_]+)` \|", re.MULTILINE)
    documented = set(keys.findall(DOCUMENT.read_text()))
    rendered = {re.sub(r"_\d+_", "_n_", key) for key in parse(conf(contexts.full()))}
    assert documented == rendered


def test_the_document_s_example_is_within_the_grammar() -> None:
    example = re.search(r"```\n(IMS_FORMAT.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example
    assert parse(example[1].encode())["IMS_PROPERTY_0_VALUE"] == "it's $HOME"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"IMS_FORMAT='1'", b"IMS_FORMAT=1\n", b'IMS_FORMAT="1"\n'),
        *(b"IMS_FORMAT='2'\n", b"IMS_HOSTNAME='a'\n", b"IMS_FORMAT='1'\n\n"),
        *(b"IMS_FORMAT='1'\n# comment\n", b"IMS_FORMAT='1' \n", b"IMS_FORMAT='1'; id\n"),
        *(b"IMS_FORMAT='1'\nIMS_A='x'y\n", b"IMS_FORMAT='1'\nIMS_A='x''y'\n"),
        *(b"IMS_FORMAT='1'\nims_a='x'\n", b"IMS_FORMAT='1'\nPATH='x'\n"),
        *(b"IMS_FORMAT='1'\n IMS_A='x'\n", b"IMS_FORMAT='1'\nIMS_A ='x'\n"),
        *(b"IMS_FORMAT='1'\nIMS_A='x\n", b"IMS_FORMAT='1'\nIMS_A='\\''\n"),
        *(b"IMS_FORMAT='1'\nIMS_A='\0'\n", b"IMS_FORMAT='1'\nIMS_A='\xff'\n"),
        *(b"IMS_FORMAT='1'\nIMS_A='1'\nIMS_A='2'\n", b"IMS_FORMAT='1'\nIMS_A=$(id)\n"),
        *(b"export IMS_FORMAT='1'\n", b"IMS_FORMAT='1'\r\n", b"\xef\xbb\xbfIMS_FORMAT='1'\n"),
    ],
)
def test_parse_refuses_what_is_outside_the_grammar(data: bytes) -> None:
    with pytest.raises(InvalidError, match=r"bootparams\.conf"):
        parse(data)


def test_parse_takes_linear_time_on_a_long_unclosed_value() -> None:
    with pytest.raises(InvalidError):
        parse(b"IMS_FORMAT='1'\nIMS_A='" + b"x" * 200_000 + b"'\\''" * 50_000)


def test_names_on_the_medium_never_come_from_a_user_s_text() -> None:
    context = replace(
        contexts.small(),
        files=(File("/a'; rm -rf b", b"x"),),
        scripts=(Script("../../etc/passwd", b"y"),),
    )
    assert sorted(render(context)) == ["bootparams.conf", "files/0000", "scripts/0000"]


def test_the_layout_says_how_it_is_found_and_that_it_answers() -> None:
    assert (LAYOUT.name, LAYOUT.label, LAYOUT.live) == ("bootparams", "IMS", True)
    assert LAYOUT.render(contexts.small()) == render(contexts.small())
