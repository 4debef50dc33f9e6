"""The discs of other contextualization systems in a real guest, which follows their own rules.

The tiny guest stands for their images: what it runs here is what was published of how such a guest
mounts and reads its discs, typed at its console.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ims_core import Context, File, Script
from tests.kvm.conftest import BOOT_SECONDS, MEMORY

if TYPE_CHECKING:
    from tests.kvm.conftest import Lab

pytestmark = pytest.mark.lab_kvm

#: vmcontext_prolog, setupContext and vmcontext_epilog of HEPiX, for a disc on DEVICE.
HEPIX = (
    "mkdir -p /tmp/disc /var/lib/hepix && mount -o ro -t TYPE DEVICE /tmp/disc &&"
    " cp -R /tmp/disc /var/lib/hepix/context; cd /var/lib/hepix/context;"
    " for s in prolog.sh epilog.sh; do"
    ' (set -- start; . ./context.sh; . "./$s";'
    ' printf %s "$EC2_USER_DATA" | base64 -d >/tmp/ud; echo "$role" >/tmp/role); done;'
    " hostname; cat /etc/greeting /tmp/ran /tmp/ud /tmp/role; cat service.conf"
)
#: A guest of OPTIMIS as it boots: the context disc, its version, the union, the bootstrap.
OPTIMIS = (
    "mkdir -p /tmp/context && mount -t iso9660 -o ro /dev/sr0 /tmp/context;"
    ' . /tmp/context/.metadata; echo "version $version type $type";'
    " (sh /tmp/context/recontext-scripts/auto-mounter.sh >/tmp/mounter 2>&1 &);"
    " n=0; until [ -f /mnt/context/endpoints/db.properties ] || [ $n = 60 ];"
    " do n=$((n+1)); sleep 1; done;"
    " sh /mnt/context/scripts/bootstrap.sh; cat /tmp/ran; grep ssh-rsa /root/.ssh/authorized_keys;"
    " cat /mnt/context/endpoints/db.properties; cat /mnt/context/softwaredeps/a_b_1.dep"
)
AGAIN = (
    "n=0; until grep -q 'db=NEW' /mnt/context/endpoints/db.properties || [ $n = 60 ];"
    " do n=$((n+1)); sleep 1; done;"
    " cat /mnt/context/endpoints/db.properties /mnt/context/endpoints/mq.properties;"
    " cat /tmp/context/data/endpoints/db.properties; cat /mnt/context/softwaredeps/a_b_1.dep"
)
RAN = Script("ran", b"#!/bin/sh\necho it ran >>/tmp/ran\n")


@pytest.mark.parametrize(
    ("carrier", "device", "kind"),
    [("iso", "/dev/sr0", "iso9660"), ("fat-disk", "/dev/vdb", "vfat")],
)
def test_a_guest_reads_the_disc_of_hepix_and_opennebula(
    lab: Lab, carrier: str, device: str, kind: str
) -> None:
    context = Context(
        hostname="hepix.example",
        properties={"role": "it's $HOME"},
        files=(File("/etc/greeting", b"hello\n"), File("/mnt/context/service.conf", b"conf\n")),
        scripts=(RAN,),
    )
    name = f"hepix-{carrier}"
    lab.ims.create_vm(
        name, memory=MEMORY, context=context, layout="hepix", carrier=carrier, timeout=BOOT_SECONDS
    )
    said = lab.run_in_guest(name, HEPIX.replace("DEVICE", device).replace("TYPE", kind))
    assert [line.strip() for line in said.splitlines()] == [
        *("hepix.example", "hello", "it ran"),
        *("[amiconfig]", "plugins=hostname", "", "[hostname]", "hostname=hepix.example"),
        *("it's $HOME", "conf"),
    ]


def test_a_guest_reads_the_discs_of_optimis_and_the_second_goes_over_the_first(lab: Lab) -> None:
    key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC me@here"
    context = Context(
        hostname="optimis.example",
        properties={"db": "tcp://192.0.2.1:5432"},
        ssh_keys=(key,),
        files=(File("/mnt/context/softwaredeps/a_b_1.dep", b"dep\n"),),
        scripts=(RAN,),
    )
    lab.ims.create_vm(
        "optimis01", memory=MEMORY, context=context, layout="optimis-v2", timeout=BOOT_SECONDS
    )
    said = lab.run_in_guest("optimis01", OPTIMIS).splitlines()
    lines = [line.strip() for line in said]
    assert lines[0] == "version 2 type context"
    assert lines[1:3] == ["it ran", key]
    assert lines[-2:] == [r"db=tcp\://192.0.2.1\:5432", "dep"]
    done = lab.cli("update-context", "optimis01", "--set", "db=NEW", "--set", "mq=amqp")
    assert done.returncode == 0, done.stderr
    assert "takes effect" not in done.stderr
    again = lab.run_in_guest("optimis01", AGAIN)
    values = [line.strip() for line in again.splitlines() if not line.startswith("#")]
    assert values == ["db=NEW", "mq=amqp", r"db=tcp\://192.0.2.1\:5432", "dep"]
    # What only the first disc can tell waits for the next start, and is told then.
    late = lab.cli("update-context", "optimis01", "--file", "/mnt/context/late=/etc/hostname")
    assert "next start" in late.stdout, late.stderr
    lab.ims.reboot_vm("optimis01", force=True, timeout=BOOT_SECONDS)
    mounted = lab.run_in_guest(
        "optimis01",
        "mount -t iso9660 -o ro /dev/sr0 /mnt; ls /mnt/data; cat /mnt/data/endpoints/db.properties",
    )
    assert "late" in mounted
    assert "db=NEW" in mounted


def test_what_must_be_fetched_is_named_in_the_firmware_s_tables(lab: Lab) -> None:
    told = Context(hostname="smbios.example", seed_url="http://192.168.177.1:8000/a,b/")
    vm = lab.ims.create_vm(
        "smbios01", memory=MEMORY, context=told, layout="nocloud-net", timeout=BOOT_SECONDS
    )
    serial = f"ds=nocloud-net;s=http://192.168.177.1:8000/a,b/;h=smbios.example;i={vm.uuid}"
    read = "cat /sys/class/dmi/id/product_serial"
    assert lab.run_in_guest("smbios01", read) == serial
    [shown] = [each for each in lab.ims.list_vms() if each.name == "smbios01"]
    assert shown.problem == ""
    done = lab.cli("update-context", "smbios01", "--seed-url", "http://192.168.177.1:8000/c/")
    assert done.returncode == 0, done.stderr
    lab.ims.reboot_vm("smbios01", force=True, timeout=BOOT_SECONDS)
    deadline = time.monotonic() + BOOT_SECONDS
    assert "s=http://192.168.177.1:8000/c/;" in lab.run_in_guest("smbios01", read)
    assert time.monotonic() < deadline
