"""The tiny guest as an Oracle VM template: what the JeOS toolkit made, packed as one .tgz.

As the seed has it: System.img, Application.img, Bootparams.img and vm.cfg in one folder. The guest
is booted by pygrub from its own disk, as Oracle's templates are.
"""

from __future__ import annotations

from pathlib import Path

from tests.labs import cache, tiny_guest
from tests.labs.commands import progress, run

__all__ = ["NAME", "build"]

NAME = "tiny-jeos"

_CONFIG = f"""\
# Made by hand, as for OVM Server 2.2
bootloader = '/usr/bin/pygrub'
memory = '128'
name = '{NAME}'
OVM_SIMPLE_NAME = '{NAME}'
disk = ['file:/OVS/seed_pool/{NAME}/System.img,xvda,w',
        'file:/OVS/seed_pool/{NAME}/Application.img,xvdb,w',
        'file:/OVS/seed_pool/{NAME}/Bootparams.img,xvdc,w',
]
on_crash = 'restart'
on_reboot = 'restart'
vcpus = 1
vif = ['bridge=xenbr0,type=netfront']
vif_other_config = []
"""
_README = "Not ours to change.\n"
_BOOTPARAMS_KIB, _APPLICATION_SIZE = "2048", "1M"


def build() -> Path:
    """Return the path of the archive."""
    image = tiny_guest.build().with_name("tiny.raw")
    entry_key = cache.key(image.parent.name, Path(__file__))
    return cache.entry("ovm-template", entry_key, lambda work: _build(image, work)) / f"{NAME}.tgz"


def _build(image: Path, work: Path) -> None:
    progress("OVM template: packing the tiny guest")
    folder, readme = work / NAME, work / "README"
    folder.mkdir()
    readme.write_text(_README)
    (folder / "vm.cfg").write_text(_CONFIG)
    run("cp", "--sparse=always", image, folder / "System.img")
    bootparams = folder / "Bootparams.img"
    run("mkfs.vfat", "-C", "-F", "12", "-n", "IMS", "-i", "2E24EC82", bootparams, _BOOTPARAMS_KIB)
    run("mcopy", "-i", bootparams, readme, "::README")
    application = work / "application"
    application.mkdir()
    (application / "README").write_text("The application would be here.\n")
    options = ("-t", "ext2", "-L", "APPLICATION", "-d", application)
    run("mke2fs", "-q", *options, folder / "Application.img", _APPLICATION_SIZE)
    run("tar", "-C", work, "--sort=name", "-czf", work / f"{NAME}.tgz", NAME)
    run("rm", "-rf", folder, application, readme)
