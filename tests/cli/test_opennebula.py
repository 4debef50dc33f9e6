"""``create-vm --opennebula-template``: the seed's two examples as written, and more."""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.helpers import Cli

FIRST = r"""
CONTEXT = [
hostname = "MAINHOST",
ip_private = "$NIC[IP, NETWORK=\"public net\"]",
dns = "$NETWORK[DNS, NETWORK_ID=0]",
root_pass = "$IMAGE[ROOT_PASS, IMAGE_ID=3]",
ip_gen = "10.0.0.$VMID",
files = "{service}/init.sh {service}/certificates.$UID
{service}/service.conf"
]
"""
SECOND = r"""
CONTEXT=[
ETH0_IP = "$NIC[IP, NETWORK=\"public\"]",
ETH0_NETWORK = "$NETWORK[NETWORK_ADDRESS,
NETWORK=\"public\"]",
ETH0_MASK = "$NETWORK[NETWORK_MASK, NETWORK=\"public\"]",
ETH0_GATEWAY = "$NETWORK[GATEWAY, NETWORK=\"public\"]",
ETH0_DNS = "$NETWORK[DNS, NETWORK=\"public\"]",
"""
FACTS = """
vmid = 7
[[network]]
NETWORK = "public net"
NETWORK_ID = 0
IMS = "fake"
DNS = "192.0.2.53"
[[image]]
IMAGE_ID = 3
ROOT_PASS = "it's $(secret)"
"""
ORDER = ("create-vm", "web", "--context-layout", "opennebula", "--ip", "10.77.0.9/24")


@pytest.fixture
def site(cli: Cli, tmp_path: Path) -> Cli:
    cli.configure(network="10.77.0.0/24")
    service = tmp_path / "service"
    service.mkdir()
    for name in ("init.sh", f"certificates.{os.getuid()}", "service.conf"):
        (service / name).write_text(f"this is {name}\n")
    (tmp_path / "facts.toml").write_text(FACTS)
    return cli


def template(folder: Path, text: str) -> str:
    path = folder / "vm.one"
    path.write_text(text)
    return str(path)


def told(cli: Cli, name: str = "web") -> tuple[dict[str, str], dict[str, str]]:
    """What is in the guest's context.sh, and the other files."""
    files = cli.json("show-context", name, "--reveal")["files"]
    texts = {key: value.get("text", "") for key, value in files.items()}
    found = re.findall(r"^([A-Za-z_0-9]+)='((?:[^']|'\\'')*)'$", texts["context.sh"], re.MULTILINE)
    return {key: value.replace(r"'\''", "'") for key, value in found}, texts


def test_the_first_example_of_the_seed_works_as_written(site: Cli, tmp_path: Path) -> None:
    text = FIRST.replace("{service}", str(tmp_path / "service"))
    one = ("--opennebula-template", template(tmp_path, text))
    site.ok(*ORDER, *one, "--opennebula-facts", str(tmp_path / "facts.toml"))
    variables, files = told(site)
    assert variables["SET_HOSTNAME"] == "MAINHOST"
    assert variables["IP_PRIVATE"] == "10.77.0.9"
    assert variables["DNS"] == "192.0.2.53"
    assert variables["ROOT_PASS"] == "it's $(secret)"  # noqa: S105 - of an example
    assert variables["IP_GEN"] == "10.0.0.7"
    for name in ("init.sh", f"certificates.{os.getuid()}", "service.conf"):
        assert files[name] == f"this is {name}\n"
        assert name in variables["FILES"].split()
    assert "secret" not in site.ok("show-context", "web").out


def test_the_second_example_of_the_seed_works_as_written(site: Cli, tmp_path: Path) -> None:
    (tmp_path / "facts.toml").write_text('[[network]]\nNETWORK = "public"\nIMS = "fake"\n')
    one = ("--opennebula-template", template(tmp_path, SECOND))
    site.ok(*ORDER, *one, "--opennebula-facts", str(tmp_path / "facts.toml"))
    variables, _ = told(site)
    assert {
        key: variables[f"ETH0_{key}"] for key in ("IP", "NETWORK", "MASK", "GATEWAY", "DNS")
    } == {
        "IP": "10.77.0.9",
        "NETWORK": "10.77.0.0",
        "MASK": "255.255.255.0",
        "GATEWAY": "10.77.0.1",
        "DNS": "10.77.0.1",
    }


def test_the_whole_vm_is_as_the_template_orders_it(site: Cli, tmp_path: Path) -> None:
    text = """
    NAME = ordered
    MEMORY = 64
    VCPU = 3
    DISK = [ IMAGE = tiny ]
    NIC = [ NETWORK = "public net", IP = 10.77.0.20, MAC = "02:00:0A:4D:00:14" ]
    CONTEXT = [ NETWORK = YES, SET_HOSTNAME = "$NAME.example", SSH_PUBLIC_KEY = "ssh-rsa AAAA a",
                ROLE = web, START_SCRIPT = "echo hello" ]
    """
    one = ("--opennebula-template", template(tmp_path, text))
    site.ok("create-vm", *one, "--opennebula-facts", str(tmp_path / "facts.toml"))
    vm = site.json("show-vm", "ordered")
    assert (vm["memory_bytes"], vm["vcpus"]) == (64 << 20, 3)
    conf = site.json("show-context", "ordered", "--reveal")["files"]
    text = conf["bootparams.conf"]["text"]
    assert "IMS_HOSTNAME='ordered.example'" in text
    assert "IMS_INTERFACE_0_MAC='02:00:0a:4d:00:14'" in text
    assert "IMS_INTERFACE_0_ADDRESSES='10.77.0.20/24'" in text
    assert "IMS_SSH_KEYS='ssh-rsa AAAA a'" in text
    assert "IMS_PROPERTY_0_VALUE='web'" in text
    assert conf["scripts/0000"]["text"] == "echo hello"


def test_the_command_line_stands_above_the_template(site: Cli, tmp_path: Path) -> None:
    text = "NAME=a\nMEMORY=64\nVCPU=3\nCONTEXT=[SET_HOSTNAME=b, ROLE=web]\n"
    one = ("--opennebula-template", template(tmp_path, text))
    site.ok(
        *("create-vm", "web", *one, "--memory", "32M", "--vcpus", "1"),
        *("--hostname", "c", "--set", "ROLE=db"),
    )
    vm = site.json("show-vm", "web")
    assert (vm["memory_bytes"], vm["vcpus"]) == (32 << 20, 1)
    shown = site.ok("show-context", "web").out
    assert "IMS_HOSTNAME='c'" in shown
    assert "IMS_PROPERTY_0_VALUE='db'" in shown


def test_a_token_is_made_on_request(site: Cli, tmp_path: Path) -> None:
    (tmp_path / "facts.toml").write_text(
        'vmid = 7\nonegate_endpoint = "http://192.0.2.1:5030"\n'
        f'[user]\nTOKEN_PASSWORD = "{"k" * 40}"\n'
    )
    one = ("--opennebula-template", template(tmp_path, "CONTEXT=[TOKEN=YES]"))
    site.ok(*ORDER, *one, "--opennebula-facts", str(tmp_path / "facts.toml"))
    variables, files = told(site)
    assert variables["VMID"] == "7"
    assert variables["ONEGATE_ENDPOINT"] == "http://192.0.2.1:5030"
    assert len(base64.b64decode(files["token.txt"])) == 16
    shown = site.ok("show-context", "web").out
    assert "kkkk" not in shown
    assert files["token.txt"].strip() not in shown


@pytest.mark.parametrize(
    ("text", "facts", "words"),
    [
        ('CONTEXT=[A="$NOPE"]', "", "CONTEXT.A: $NOPE is not known"),
        ('CONTEXT=[A="$NIC[IP, NETWORK=\\"x\\"]"]', "", "names no NIC that is known"),
        ("CONTEXT=[FILES=/no/such/file]", "", "CONTEXT.FILES: cannot read '/no/such/file'"),
        ("CONTEXT=[TOKEN=YES]", "", "CONTEXT.TOKEN: no OneGate endpoint"),
        ("DISK=[IMAGE_ID=9]", "", "DISK: IMAGE_ID 9 is not known"),
        ("A=1", "vmid = -1", "--opennebula-facts: vmid is no number"),
        ("A=1", "nope = 1", "--opennebula-facts: 'nope' is not known"),
        ("A=1", "user = 3", "--opennebula-facts: user is no table"),
        ("A=1", "network = 3", "--opennebula-facts: network is no list of tables"),
        ("A=1", "[[image]]\nA = 1.5", "--opennebula-facts: image: A is neither text nor"),
        ("A=1", "a", "--opennebula-facts: it is not TOML"),
        ("CONTEXT=[=", "", "line 1, column 10"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    site: Cli, tmp_path: Path, text: str, facts: str, words: str
) -> None:
    (tmp_path / "facts.toml").write_text(facts)
    one = ("--opennebula-template", template(tmp_path, text))
    done = site(*ORDER, *one, "--opennebula-facts", str(tmp_path / "facts.toml"))
    assert done.status == 2
    assert words in done.err
    assert "hint: " in done.err
    assert site.left_behind() == []


def test_one_request_makes_one_vm_and_another_template_is_another_order(
    site: Cli, tmp_path: Path
) -> None:
    one = ("--opennebula-template", template(tmp_path, "CONTEXT=[A=1]"))
    for _ in range(2):
        site.ok(*ORDER, *one, "--request-id", "r1")
    template(tmp_path, "CONTEXT=[A=2]")
    assert "another order" in site(*ORDER, *one, "--request-id", "r1").err
