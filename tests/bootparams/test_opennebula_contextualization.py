"""What OpenNebula's templates come to, and the token that OneGate wants."""

from __future__ import annotations

import base64
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_bootparams.opennebula_template import (
    Contextualization,
    Facts,
    Machine,
    MediumFile,
    parse,
    resolve,
    token_txt,
)
from ims_core.errors import InvalidError, UnsupportedError
from tests.bootparams.helpers import run

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(
    vmid=42,
    name="web-1",
    uid=7,
    files=(
        {"IMAGE": "a key", "IMAGE_ID": "3", "IMAGE_UNAME": "alice", "PATH": "/store/3"},
        {"IMAGE": "a key", "IMAGE_ID": "4", "IMAGE_UNAME": "bob", "PATH": "/store/4"},
        {"IMAGE": "init.sh", "IMAGE_ID": "5", "PATH": "/store/5"},
    ),
)
#: As they are printed; the second one is cut, without a closing bracket.
FIRST_EXAMPLE = r"""CONTEXT = [
hostname = "MAINHOST",
ip_private = "$NIC[IP, NETWORK=\"public net\"]",
dns = "$NETWORK[DNS, NETWORK_ID=0]",
root_pass = "$IMAGE[ROOT_PASS, IMAGE_ID=3]",
ip_gen = "10.0.0.$VMID",
files = "/service/init.sh /service/certificates.$UID
/service/service.conf"
]
"""
SECOND_EXAMPLE = r"""CONTEXT=[
ETH0_IP = "$NIC[IP, NETWORK=\"public\"]",
ETH0_NETWORK = "$NETWORK[NETWORK_ADDRESS,
NETWORK=\"public\"]",
ETH0_MASK = "$NETWORK[NETWORK_MASK, NETWORK=\"public\"]",
ETH0_GATEWAY = "$NETWORK[GATEWAY, NETWORK=\"public\"]",
ETH0_DNS = "$NETWORK[DNS, NETWORK=\"public\"]",
"""
PASSWORD = "0123456789abcdef" * 4


def told(context: str, facts: Facts = FACTS) -> Contextualization:
    return resolve(parse(f"CONTEXT = [\n{context}\n]".encode()), facts)


def test_the_first_printed_example_works_as_written() -> None:
    facts = replace(
        FACTS,
        nics=({"NIC_ID": "0", "NETWORK": "public net", "IP": "192.0.2.7"},),
        networks=({"NETWORK": "public net", "NETWORK_ID": "0", "DNS": "192.0.2.53"},),
        images=({"IMAGE_ID": "3", "ROOT_PASS": "s3cret"},),
    )
    found = resolve(parse(FIRST_EXAMPLE.encode()), facts)
    assert found == Contextualization(
        machine=Machine(),
        hostname="MAINHOST",
        init_scripts=("init.sh",),
        files=(
            MediumFile("init.sh", "/service/init.sh"),
            MediumFile("certificates.7", "/service/certificates.7"),
            MediumFile("service.conf", "/service/service.conf"),
        ),
        variables={
            "IP_PRIVATE": "192.0.2.7",
            "DNS": "192.0.2.53",
            "ROOT_PASS": "s3cret",
            "IP_GEN": "10.0.0.42",
        },
    )
    assert "s3cret" not in repr(found) + repr(facts)


def test_the_second_printed_example_works_as_written() -> None:
    facts = replace(
        FACTS,
        nics=({"NIC_ID": "0", "NETWORK": "public", "IP": "192.0.2.7"},),
        networks=(
            {
                "NETWORK": "public",
                "NETWORK_ADDRESS": "192.0.2.0",
                "NETWORK_MASK": "255.255.255.0",
                "GATEWAY": "192.0.2.1",
                "DNS": "192.0.2.53",
            },
        ),
    )
    assert resolve(parse(SECOND_EXAMPLE.encode()), facts) == Contextualization(
        machine=Machine(),
        variables={
            "ETH0_IP": "192.0.2.7",
            "ETH0_NETWORK": "192.0.2.0",
            "ETH0_MASK": "255.255.255.0",
            "ETH0_GATEWAY": "192.0.2.1",
            "ETH0_DNS": "192.0.2.53",
        },
    )


def test_a_template_without_a_context_tells_nothing() -> None:
    assert resolve(parse(b"MEMORY=1"), FACTS) == Contextualization(machine=Machine(memory=1 << 20))


def test_two_contexts_are_refused() -> None:
    with pytest.raises(InvalidError, match="CONTEXT: it is given 2 times"):
        resolve(parse(b"CONTEXT=[A=1]CONTEXT=[B=2]"), FACTS)


@pytest.mark.parametrize(
    ("context", "hostname", "left"),
    [
        ("SET_HOSTNAME=a.example.org, HOSTNAME=b", "a.example.org", {"HOSTNAME": "b"}),
        ("SET_HOSTNAME=a_b, hostname=b", "b", {"SET_HOSTNAME": "a_b"}),
        ('HOSTNAME="$NAME"', "web-1", {}),
        ('HOSTNAME="a b"', "", {"HOSTNAME": "a b"}),
        ('HOSTNAME=""', "", {"HOSTNAME": ""}),
    ],
)
def test_the_first_that_is_a_host_name_is_the_vm_s(
    context: str, hostname: str, left: dict[str, str]
) -> None:
    found = told(context)
    assert (found.hostname, found.variables) == (hostname, left)


def test_each_key_is_told_once() -> None:
    found = told('SSH_PUBLIC_KEY=" ssh-a A \r\n\nssh-b B", EC2_PUBLIC_KEY="ssh-a A\nssh-c C"')
    assert found.ssh_keys == ("ssh-a A", "ssh-b B", "ssh-c C")
    assert told('SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]", USERNAME=alice') == Contextualization(
        machine=Machine(), username="alice"
    )


ENCODED = base64.encodebytes(b"\0 any bytes \xff" * 9).decode()  # in lines


@pytest.mark.parametrize(
    ("context", "data"),
    [
        ('USER_DATA="a", USERDATA="b"', b"a"),
        ('USER_DATA="", USERDATA="é"', "é".encode()),
        (f'USER_DATA="{ENCODED}", USER_DATA_ENCODING=base64', b"\0 any bytes \xff" * 9),
        (f'USERDATA="{ENCODED}", USERDATA_ENCODING=base64', b"\0 any bytes \xff" * 9),
        (f'USERDATA="{ENCODED}", USER_DATA_ENCODING=base64', b"\0 any bytes \xff" * 9),
        ('USER_DATA="", USER_DATA_ENCODING=base64', None),
    ],
)
def test_user_data_is_decoded(context: str, data: bytes | None) -> None:
    found = told(context)
    assert (found.user_data, found.variables) == (data, {})


@pytest.mark.parametrize(
    ("context", "script"),
    [
        ('START_SCRIPT="yum upgrade"', b"yum upgrade"),
        ('START_SCRIPT="a", START_SCRIPT_BASE64="YiAkSE9NRQ=="', b"b $HOME"),
        ('START_SCRIPT="a", START_SCRIPT_BASE64=""', b"a"),
        ('START_SCRIPT=""', None),
    ],
)
def test_the_start_script_in_base64_wins(context: str, script: bytes | None) -> None:
    found = told(context)
    assert (found.start_script, found.variables) == (script, {})


@settings(max_examples=50)
@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_bytes_come_in_base64(data: bytes, script: bytes) -> None:
    first, second = (base64.b64encode(each).decode() for each in (data, script))
    found = told(f'USERDATA="{first}",USERDATA_ENCODING=base64,START_SCRIPT_BASE64="{second}"')
    assert (found.user_data or b"", found.start_script or b"") == (data, script)


def test_files_have_the_names_that_opennebula_gives_them() -> None:
    found = told(
        'FILES="/a/one /b/two:three\n\t/c/d:x/y  rel",'
        r'FILES_DS="$FILE[IMAGE_ID=3] $FILE[IMAGE=\"init.sh\"]", INIT_SCRIPTS="three one"'
    )
    assert found.files == (
        MediumFile("one", "/a/one"),
        MediumFile("three", "/b/two"),
        MediumFile("x_y", "/c/d"),
        MediumFile("rel", "rel"),
        MediumFile("a_key", "/store/3"),
        MediumFile("init.sh", "/store/5"),
    )
    assert found.init_scripts == ("three", "one")
    assert not found.variables


def test_a_file_of_another_owner_is_found_by_the_owner_s_name() -> None:
    found = told(r'FILES_DS=" $file[image=\"a key\", image_uname=bob]"')
    assert found.files == (MediumFile("a_key", "/store/4"),)


def test_init_sh_is_run_where_there_is_one_and_nothing_else_is_said() -> None:
    assert told('FILES_DS="$FILE[IMAGE_ID=5]"').init_scripts == ("init.sh",)
    assert told('FILES="/a/init.sh /a/b", INIT_SCRIPTS=b').init_scripts == ("b",)
    assert told('FILES="/a/b"').init_scripts == ()


def test_token_and_network_are_asked_for_by_yes() -> None:
    found = told(
        "TOKEN=yes, NETWORK=YES, A=1", replace(FACTS, onegate_endpoint="http://192.0.2.1:5030")
    )
    assert (found.token, found.network) == (True, True)
    assert found.variables == {
        "TOKEN": "yes",
        "A": "1",
        "ONEGATE_ENDPOINT": "http://192.0.2.1:5030",
        "VMID": "42",
    }
    assert told("TOKEN=NO, NETWORK=no") == Contextualization(
        machine=Machine(), variables={"TOKEN": "NO"}
    )


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ("TOKEN=YES", "CONTEXT.TOKEN"),
        ('FILES="/a http://user:s3cret@example/b"', "CONTEXT.FILES[1]"),
        ('FILES="/a/x /b/X"', "CONTEXT.FILES"),
        ('FILES="/a/"', "CONTEXT.FILES"),
        ('FILES="/a/é"', "CONTEXT.FILES"),
        ('FILES="/a:.."', "CONTEXT.FILES"),
        ('FILES="/a/init.sh", FILES_DS="$FILE[IMAGE_ID=5]"', "CONTEXT.FILES_DS"),
        ('FILES_DS="$FILE[IMAGE_ID=9]"', "CONTEXT.FILES_DS"),
        ('FILES_DS="$FILE[IMAGE_ID=3, IMAGE_UNAME=bob]"', "CONTEXT.FILES_DS"),
        ('FILES_DS="/a/path"', "CONTEXT.FILES_DS"),
        ('FILES_DS="$FILE"', "CONTEXT.FILES_DS"),
        ('FILES_DS="$FILE[NAME, IMAGE_ID=3]"', "CONTEXT.FILES_DS"),
        ('FILES_DS="$IMAGE[IMAGE_ID=3]"', "CONTEXT.FILES_DS"),
        ('INIT_SCRIPTS="init.sh"', "CONTEXT.INIT_SCRIPTS"),
        ('USER_DATA="s3cret!", USER_DATA_ENCODING=base64', "CONTEXT.USER_DATA"),
        ('USERDATA="s3crét", USERDATA_ENCODING=base64', "CONTEXT.USERDATA"),
        ('USER_DATA="s3cret", USER_DATA_ENCODING=gzip', "CONTEXT.USER_DATA_ENCODING"),
        ('START_SCRIPT_BASE64="s3cret00*"', "CONTEXT.START_SCRIPT_BASE64"),
        ('ETH0_IP="$NIC[IP]"', "CONTEXT.ETH0_IP"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(context: str, field: str) -> None:
    with pytest.raises(InvalidError) as caught:
        told(context)
    assert caught.value.message.startswith(f"{field}: ")
    assert caught.value.hint
    assert "s3cr" not in f"{caught.value}{caught.value.hint}"


def test_the_values_of_all_attributes_together_have_a_bound() -> None:
    text = f'LONG="{"x" * 900_000}"\nCONTEXT=[A=$LONG, B=$LONG, C=$LONG, D=$LONG, E=$LONG]'
    with pytest.raises(InvalidError, match=r"CONTEXT\.E: ") as caught:
        resolve(parse(text.encode()), FACTS)
    assert caught.value.code == "context-too-large"


# --- The token ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vmid", "start"), [(0, 0), (42, 1700000000), (12345, 1700000000), (123456, 17000000000)]
)
def test_openssl_reads_the_token_with_the_owner_s_password(vmid: int, start: int) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    token = token_txt(vmid, start, PASSWORD)
    assert token.endswith(b"\n")
    assert token.count(b"\n") == 1
    key, vector = PASSWORD[:32].encode().hex(), "0" * 32
    words = ("openssl", "enc", "-d", "-aes-256-cbc", "-base64", "-A", "-K", key, "-iv", vector)
    assert run(*words, stdin=token.strip()) == f"{vmid}:{start}".encode()


def test_a_password_that_is_no_key_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidError, match="token_password: ") as caught:
        token_txt(1, 2, PASSWORD[:31])
    assert PASSWORD[:8] not in f"{caught.value}{caught.value.hint}"


def test_without_the_package_that_encrypts_no_token_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(UnsupportedError, match="no token"):
        token_txt(1, 2, PASSWORD)
