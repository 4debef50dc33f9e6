"""The Xen lab as tests use it: the tiny guest as its template, judged in dom0 itself."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ims_core import Ims
from tests.by_command import ByCommand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.labs.xen import Machine

TEMPLATE = "tiny-under-test"
DIRECTORY = "/var/lib/ims"
MEMORY = "128M"
BOOT_SECONDS = 240.0


@dataclass(frozen=True)
class Lab(ByCommand):
    """A state directory of its own on the Xen lab."""

    dom0: Machine
    ims: Ims
    config: Path

    def on_console(self, name: str, command: str) -> None:
        """Type a command at the guest's console."""
        tty = f"$(xenstore-read /local/domain/$(xl domid {name})/console/tty)"
        self.dom0.run(f"printf '\\n%s\\n' {shlex.quote(command)} >{tty}")

    def domains(self) -> dict[str, int]:
        """Domain ids by name, as xl shows them."""
        lines = self.dom0.run("xl list").splitlines()[1:]
        return {line.split()[0]: int(line.split()[1]) for line in lines}

    def leftovers(self) -> set[str]:
        """Everything in the dom0 that IMS could have made."""
        return leftovers(self.dom0)


def leftovers(dom0: Machine) -> set[str]:
    """Domains, their keys in xenstore, and files; a VM's own files are as many as there must be."""
    told = dom0.run(
        "xl list | awk 'NR > 1 { print \"domain \" $1 }';"
        " for id in $(xenstore-list /local/domain); do"
        ' echo "xenstore $(xenstore-read /local/domain/$id/name)"; done;'
        f" find {DIRECTORY} /run/ims -mindepth 2 ! -name started -printf 'file %p\\n' 2>/dev/null;"
        " find /var/log/xen/console -name 'guest-*' -printf 'log %f\\n' 2>/dev/null; :"
    )
    return set(told.splitlines())


@pytest.fixture(scope="session")
def template(
    xen_lab: Machine, tiny_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The tiny guest as a template in the dom0, for the whole session."""
    directory = tmp_path_factory.mktemp("import")
    config = write_config(directory, xen_lab)
    beside = tiny_image.parent
    with Ims(config=config, state=directory / "state") as ims:
        if TEMPLATE in [each.name for each in ims.list_templates()]:
            ims.delete_template(TEMPLATE)
        ims.import_template(
            str(beside / "tiny.raw"),
            TEMPLATE,
            layout="bootparams",
            min_memory=128 << 20,  # of it the unpacked kernel takes half
            kernel=str(beside / "vmlinux"),
            ramdisk=str(beside / "initrd.gz"),
            cmdline="console=hvc0 quiet",
        )
        yield TEMPLATE
        ims.delete_template(TEMPLATE)


@pytest.fixture
def lab(xen_lab: Machine, template: str, own_state: Path) -> Iterator[Lab]:
    """The lab with a fresh state; whatever a test leaves there fails it."""
    config = write_config(own_state, xen_lab)
    before = leftovers(xen_lab)
    with Ims() as ims:
        lab = Lab(xen_lab, ims, config)
        yield lab
        store = ims.session().store.id
        for vm in ims.list_vms():
            if vm.mark is not None and vm.mark.store == store:
                ims.delete_vm(vm.uuid)
    assert leftovers(xen_lab) == before


def settings_of(dom0: Machine) -> dict[str, Any]:
    """What the lab's pool is opened with."""
    return {
        "host": "127.0.0.1",
        "user": "root",
        "port": dom0.port,
        "identity_file": str(dom0.key),
        "known_hosts": str(dom0.known_hosts),
        "ssh_config": "none",
        "directory": DIRECTORY,
    }


def write_config(folder: Path, dom0: Machine, /, **changed: object) -> Path:
    """An ims.toml whose default pool is the lab."""
    settings = {**settings_of(dom0), **changed}
    lines = [f"{word} = {json.dumps(value)}" for word, value in settings.items()]
    path = folder / "ims.toml"
    path.write_text(
        'default_pool = "lab"\n[pools.lab]\nprovider = "xen"\n'
        f'template = "{TEMPLATE}"\n' + "\n".join(lines) + "\n"
    )
    return path
