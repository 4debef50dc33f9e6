"""A stock Debian 12 with cloud-init reads what we deliver, and answers.

Nothing of ours is in the image. A script of the context prints facts on the console; that it was
printed proves as well that the script ran. A boot takes one to two minutes under emulation.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
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
    ("layout", "carrier"),
    [("configdrive", "fat-disk"), ("opennebula", "iso"), ("ovf", "iso"), ("hepix", "iso")],
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


def printed(lab: Lab, name: str) -> str:
    """What the guest's first run of a script printed, once it has."""
    deadline = time.monotonic() + float(BOOT_SECONDS)
    while not (said := facts(lab, name)):
        assert time.monotonic() < deadline, "the guest printed nothing"
        time.sleep(1)
    return said[0]


@contextmanager
def served(folder: Path, address: str) -> Iterator[str]:
    """A directory by HTTP, on a port of its own; the URL."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer((address, 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}/web/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.full  # two minutes
def test_a_seed_that_we_serve_is_found_by_the_firmware_s_tables(lab: Lab, tmp_path: Path) -> None:
    seed = tmp_path / "web"
    seed.mkdir()
    (seed / "meta-data").write_text("local-hostname: not-this-one\nfrom-seed: yes\n")
    (seed / "vendor-data").write_text("")
    (seed / "user-data").write_text(
        "#!/bin/sh\n{ echo FACTS-BEGIN; hostname; cloud-init query instance_id; echo FACTS-END; }"
        " >/dev/ttyS0\n"
    )
    with served(tmp_path, lab.lab.gateway) as url:
        words = ("--context-layout", "nocloud-net", "--seed-url", url, "--template", TEMPLATE)
        done = lab.cli("create-vm", "deb-smbios", *words, "--timeout", BOOT_SECONDS)
        assert done.returncode == 0, done.stderr
        said = printed(lab, "deb-smbios")
    assert said.split() == ["deb-smbios", lab.json("show-vm", "deb-smbios")["uuid"]]


def test_files_are_injected_into_the_disk_and_found_after_boot(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "show").write_text(
        "#!/bin/sh\n{ echo FACTS-BEGIN; stat -c '%a %U:%G' /etc/injected; cat /etc/injected;"
        " echo FACTS-END; } >/dev/ttyS0\n"
    )
    (tmp_path / "injected").write_text("it's $HOME\n")
    words = ("--template", TEMPLATE, "--script", str(tmp_path / "show"), "--wait", "defined")
    done = lab.cli("create-vm", "deb-injected", *words)
    assert done.returncode == 0, done.stderr
    before = lab.leftovers()
    put = ("--file", f"/etc/injected={tmp_path / 'injected'}:0640", "--owner", "root:adm")
    done = lab.cli("inject-files", "deb-injected", *put)
    assert done.returncode == 0, done.stderr
    assert lab.leftovers() == before
    done = lab.cli("start-vm", "deb-injected", "--wait", "ready", "--timeout", BOOT_SECONDS)
    assert done.returncode == 0, done.stderr
    assert printed(lab, "deb-injected") == "640 root:adm\nit's $HOME\n"
    refused = lab.cli("inject-files", "deb-injected", *put, "--output", "json")
    assert refused.returncode == 4
    assert "vm-running" in refused.stdout


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
