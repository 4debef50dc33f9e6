"""Which source cloud-init's own detection finds for each medium.

``ds-identify`` runs at each boot of a cloud image, before anything else of cloud-init. Here it runs
on a machine of files whose only disk is our medium, as the real ``blkid`` sees it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_bootparams.digest import listed
from ims_bootparams.media import build, put_files
from ims_core.models import Carrier
from ims_core.registry import layout
from tests.bootparams import contexts
from tests.bootparams.helpers import run, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bootparams.real_cloud_init import CloudInit

SOURCES = {
    "nocloud": "NoCloud",
    "nocloud-v1": "NoCloud",
    "configdrive": "ConfigDrive",
    "opennebula": "OpenNebula",
    "ovf": "OVF",
}


def medium(name: str, carrier: Carrier) -> bytes:
    kind = layout(name)
    files = kind.render(replace(contexts.full(), interfaces=(), properties={}))
    if carrier is Carrier.TEMPLATE_DISK:
        spare = {"spare": bytes(1 << 20)}
        of_the_template = build(Carrier.FAT_DISK, {**spare, "README": b"theirs"}, kind.label)
        return put_files(of_the_template, listed(files, "n-1"), remove=spare)
    return build(carrier, {**files, "ims.nonce": b"n-1\n"}, kind.label, serial="n-1")


def identified(cloud_init: CloudInit, folder: Path, image: bytes, serial: bytes = b"") -> str:
    """The data sources that ds-identify writes down for a machine with this disk and number."""
    path = folder / "disk.img"
    path.write_bytes(image)
    blkid = shutil.which("blkid", path="/usr/sbin:/sbin")
    assert blkid
    shown = run(blkid, "-p", "-o", "export", path).decode()
    shown = "\n".join(line for line in shown.splitlines() if not line.startswith("DEVNAME="))
    root = write_files(
        folder / "root",
        {
            "bin/blkid": f"#!/bin/sh\ncat <<'END'\nDEVNAME=/dev/sr0\n{shown}\nEND\n".encode(),
            "bin/systemd-detect-virt": b"#!/bin/sh\necho kvm\n",
            "proc/cmdline": b"root=/dev/vda2 ro\n",
            "proc/1/environ": b"",
            "proc/uptime": b"1.0 1.0\n",
            "etc/cloud/cloud.cfg": (cloud_init.tree / "etc/cloud/cloud.cfg").read_bytes(),
            "sys/class/dmi/id/sys_vendor": b"QEMU\n",
            "sys/class/dmi/id/product_name": b"Standard PC (Q35 + ICH9, 2009)\n",
            "sys/class/dmi/id/product_serial": serial + b"\n",
            "run/none": b"",
        },
    )
    for program in (root / "bin").iterdir():
        program.chmod(0o755)
    ds_identify = cloud_init.tree / "usr/lib/cloud-init/ds-identify"
    environment = {
        "PATH_ROOT": str(root),
        "PATH": f"{root}/bin:{os.environ['PATH']}",
        "DI_LOG": str(folder / "log"),
        "DEBUG_LEVEL": "1",
    }
    subprocess.run(
        ["sh", ds_identify, "--force"],
        env=environment,
        check=False,
        capture_output=True,
        timeout=60,
    )
    written = root / "run/cloud-init/cloud.cfg"
    return written.read_text() if written.exists() else (folder / "log").read_text()


@pytest.mark.parametrize(
    ("name", "carrier"), [(name, each) for name in SOURCES for each in layout(name).carriers]
)
def test_the_right_source_is_found(
    cloud_init: CloudInit, tmp_path: Path, name: str, carrier: Carrier
) -> None:
    found = identified(cloud_init, tmp_path, medium(name, carrier))
    assert f"datasource_list: [ {SOURCES[name]}, None ]" in found


def test_our_own_medium_is_none_of_theirs(cloud_init: CloudInit, tmp_path: Path) -> None:
    for carrier in (each for each in Carrier if each.is_medium):
        folder = tmp_path / carrier
        folder.mkdir()
        found = identified(cloud_init, folder, medium("bootparams", carrier))
        assert "datasource_list: [  ]" in found


def test_the_serial_number_of_nocloud_net_is_found(cloud_init: CloudInit, tmp_path: Path) -> None:
    context = replace(contexts.small(), seed_url="http://192.0.2.1/seeds/")
    serial = layout("nocloud-net").render(context)["serial"]
    found = identified(cloud_init, tmp_path, medium("bootparams", Carrier.ISO), serial)
    assert "datasource_list: [ NoCloud, None ]" in found


def test_a_config_drive_of_version_1_is_found_by_no_cloud_init_of_today(
    cloud_init: CloudInit, tmp_path: Path
) -> None:
    found = identified(cloud_init, tmp_path, medium("configdrive-v1", Carrier.FAT_DISK))
    assert "datasource_list: [  ]" in found
