"""A stock Debian 12 with cloud-init reads what we deliver, and answers.

Nothing of ours is in the image. A script of the context prints facts on the console; that it was
printed proves as well that the script ran. A boot takes one to two minutes under emulation.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from ims_core import Ims
from tests.conftest import unavailable
from tests.kvm.conftest import write_config
from tests.labs import LabError, cloud_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kvm.conftest import Lab
    from tests.labs.kvm import KvmLab

pytestmark = pytest.mark.lab_kvm

TEMPLATE = f"debian12-under-test-{os.getpid()}"  # VMs of a run that was killed may hold another
BOOT_SECONDS = "400"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl tester"
FIRST, SECOND, LATER = "192.168.177.61", "192.168.177.62", "192.168.177.63"
FACTS = b"""#!/bin/sh
{
echo FACTS-BEGIN
hostname
ip -o addr
stat -c 'mode %a owner %U' /etc/greeting
cat /etc/greeting
id alice
cat /home/debian/.ssh/authorized_keys /home/alice/.ssh/authorized_keys
cat /etc/ims/properties.json
echo FACTS-END
} >/dev/ttyS0
"""


@pytest.fixture(scope="module")
def template(
    kvm_lab: KvmLab, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Beside the tiny guest's template, which the lab's fixture needs."""
    try:
        image = cloud_guest.build()
    except LabError as error:
        unavailable("cloud guest", error)
    directory = tmp_path_factory.mktemp("import-cloud-guest")
    with Ims(config=write_config(directory, kvm_lab), state=directory / "state") as ims:
        ims.import_template(
            str(image),
            TEMPLATE,
            layout="nocloud",
            default_user=cloud_guest.DEFAULT_USER,
            min_memory=cloud_guest.MEMORY,
        )
        yield template
        ims.delete_template(TEMPLATE)


def order(tmp_path: Path) -> list[str]:
    """What every guest here is told, but for its addresses."""
    (tmp_path / "facts").write_bytes(FACTS)
    (tmp_path / "greeting").write_text("it's $HOME\n")
    return [
        *("--template", TEMPLATE, "--user", "alice:sudo", "--ssh-key", KEY),
        *("--file", f"/etc/greeting={tmp_path / 'greeting'}:0640", "--set", "role=it's $HOME"),
        *("--script", str(tmp_path / "facts"), "--timeout", BOOT_SECONDS),
    ]


def facts(lab: Lab, name: str) -> list[str]:
    """What the script printed, each time that it ran."""
    log = lab.cli("console-vm", name, "--log", "--lines", "2000").stdout.replace("\r", "")
    return re.findall(r"^FACTS-BEGIN\n(.*?)^FACTS-END$", log, re.DOTALL | re.MULTILINE)


def check_facts(said: str, name: str, *addresses: str) -> None:
    assert said.startswith(f"{name}\n")
    for line in (*addresses, "mode 640 owner root", "it's $HOME", "uid=1000(alice)"):
        assert line in said
    assert said.count(KEY) == 2, "of the default user and of alice"
    assert '"role": "it\'s $HOME"' in said


def test_nocloud_and_a_changed_address_at_the_next_start(lab: Lab, tmp_path: Path) -> None:
    cards = ("--ip", FIRST, "--interface", f"network={lab.lab.network}")
    done = lab.cli("create-vm", "deb-nocloud", *order(tmp_path), *cards, "--wait", "ready")
    assert done.returncode == 0, done.stderr
    vm = lab.json("show-vm", "deb-nocloud")
    assert vm["receipt"]["ready"] is True
    assert {item["name"] for item in vm["receipt"]["items"]} == {
        *("cloud-init", "hostname", "interfaces.0", "interfaces.1", "users.0", "files.0"),
        "scripts.0",
    }
    assert {each["address"] for each in vm["receipt"]["addresses"]} > {f"{FIRST}/24"}
    [said] = facts(lab, "deb-nocloud")
    check_facts(said, "deb-nocloud", f"inet {FIRST}/24")
    assert len(re.findall(r"inet 192\.168\.177\.\d+/24", said)) == 2, "the second card asked DHCP"
    # The same guest with another address: its instance-id stays, so nothing runs twice.
    lab.cli("stop-vm", "deb-nocloud", "--timeout", "120")
    assert lab.cli("set-ip", "deb-nocloud", LATER).returncode == 0
    again = lab.cli("start-vm", "deb-nocloud", "--wait", "ready", "--timeout", BOOT_SECONDS)
    assert again.returncode == 0, again.stderr
    vm = lab.json("show-vm", "deb-nocloud")
    told = {each["address"] for each in vm["receipt"]["addresses"]}
    assert f"{LATER}/24" in told
    assert f"{FIRST}/24" not in told
    assert facts(lab, "deb-nocloud") == [], "the script is not run again"


@pytest.mark.full  # two minutes each; the layouts themselves are judged by cloud-init's own code
@pytest.mark.parametrize(
    ("layout", "carrier"), [("configdrive", "fat-disk"), ("opennebula", "iso")]
)
def test_the_other_layouts_with_two_static_cards(
    lab: Lab, tmp_path: Path, layout: str, carrier: str
) -> None:
    name = f"deb-{layout}"
    cards = ("--ip", FIRST, "--interface", f"network={lab.lab.network},ip={SECOND}")
    words = ("--context-layout", layout, "--context-carrier", carrier, "--wait", "ready")
    done = lab.cli("create-vm", name, *order(tmp_path), *cards, *words)
    assert done.returncode == 0, done.stderr
    assert lab.json("show-vm", name)["receipt"]["ready"] is True
    [said] = facts(lab, name)
    check_facts(said, name, f"inet {FIRST}/24", f"inet {SECOND}/24")


@pytest.mark.full  # two minutes
def test_raw_user_data_is_unchanged_in_the_guest_and_the_receipt_comes(
    lab: Lab, tmp_path: Path
) -> None:
    raw = tmp_path / "user-data"
    raw.write_text(
        "#!/bin/sh\n# any text: ünïcode $(id) `id`\n"
        "{ echo FACTS-BEGIN; sha256sum </var/lib/cloud/instance/user-data.txt; echo FACTS-END; }"
        " >/dev/ttyS0\n"
    )
    words = ("--template", TEMPLATE, "--user-data", str(raw), "--wait", "ready")
    done = lab.cli("create-vm", "deb-raw", *words, "--timeout", BOOT_SECONDS)
    assert done.returncode == 0, done.stderr
    items = {item["name"] for item in lab.json("show-vm", "deb-raw")["receipt"]["items"]}
    assert items == {"cloud-init", "hostname", "interfaces.0"}
    [said] = facts(lab, "deb-raw")
    assert hashlib.sha256(raw.read_bytes()).hexdigest() in said


def test_a_layout_that_cannot_answer_for_raw_user_data_refuses_to_wait(
    lab: Lab, tmp_path: Path
) -> None:
    raw = tmp_path / "user-data"
    raw.write_text("#!/bin/sh\n")
    begun = time.monotonic()
    words = ("--template", TEMPLATE, "--context-layout", "opennebula", "--user-data", str(raw))
    refused = lab.cli("create-vm", "deb-never", *words, "--wait", "ready", "--output", "json")
    assert refused.returncode == 2
    assert "wait-impossible" in refused.stdout
    assert time.monotonic() - begun < 10
    assert lab.listed() == []
