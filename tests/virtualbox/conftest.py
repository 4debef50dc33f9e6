"""The VirtualBox labs as tests use them: the tiny guest as their template, judged by VBoxManage."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ims_core import Ims
from tests.by_command import ByCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.labs.machine import Machine

TEMPLATE = "tiny-under-test"
DIRECTORY = "/root/.local/share/ims/virtualbox"


@dataclass(frozen=True)
class Lab(ByCommand):
    """A state directory of its own on a VirtualBox host."""

    host: Machine
    ims: Ims
    config: Path

    SECONDS: ClassVar[float] = 1500.0

    def vbox(self, command: str) -> str:
        """What VBoxManage prints."""
        return self.host.run(f"VBoxManage -q {command}")

    def leftovers(self) -> set[str]:
        """Everything on the host that IMS could have made."""
        return leftovers(self.host)

    def is_as(self, before: set[str], when: str = "") -> None:
        """Assert that there is what there was."""
        if self.leftovers() != before:
            # After a restore VirtualBox takes CDs for used until its server ends, as it does by
            # itself; what else it may keep in mind until then is not known.
            self.until("it ends", lambda: not self.host.run("pgrep -x VBoxSVC || :").strip())
        assert self.leftovers() == before, when


def leftovers(host: Machine) -> set[str]:
    """Machines, media, and files but for what VirtualBox writes beside a machine as it likes."""
    told = host.run(
        "for kind in vms hdds dvds; do VBoxManage -q list $kind | grep -E '^\"|^Location:'; done;"
        f" find {DIRECTORY} -mindepth 2 ! -path '*/Logs*' ! -name '*.vbox-prev' ! -name '*.nvram'"
        " ! \\( -type d -name Snapshots \\) -printf 'file %p\\n' 2>/dev/null; :"
    )
    return set(told.splitlines())


def made_by_hand(host: Machine, name: str) -> Callable[[], object]:
    """Make a machine without IMS; returns what removes it if it is still there."""
    host.run(f"VBoxManage -q createvm --name {shlex.quote(name)} --register")
    return lambda: host.run(f"VBoxManage -q unregistervm {name} --delete 2>/dev/null || :")


def copied_by_hand(host: Machine, uuid: str) -> Callable[[], object]:
    """Copy a machine without IMS; returns what removes the copy."""
    host.run(f"VBoxManage -q clonevm {uuid} --name a-copy --register")
    return lambda: host.run("VBoxManage -q unregistervm a-copy --delete")


def broken_by_hand(host: Machine, uuid: str) -> Callable[[], object]:
    """Take a VM's disk away; nothing is left of that."""
    host.run(f"cd {DIRECTORY}/vms && rm $(grep -l {uuid} */*/*.vbox | cut -d / -f 1)/root.vdi")
    return lambda: None


def settings_of(host: Machine) -> dict[str, Any]:
    """What a lab's pool is opened with."""
    return {
        "host": "127.0.0.1",
        "user": "root",
        "port": host.port,
        "identity_file": str(host.key),
        "known_hosts": str(host.known_hosts),
        "ssh_config": "none",
        "paravirt": "none",  # the lab is emulated
    }


def write_config(folder: Path, host: Machine, /, **changed: object) -> Path:
    """An ims.toml whose default pool is a lab."""
    settings = {**settings_of(host), **changed}
    lines = [f"{word} = {json.dumps(value)}" for word, value in settings.items()]
    path = folder / "ims.toml"
    path.write_text(
        'default_pool = "lab"\n[pools.lab]\nprovider = "virtualbox"\n'
        f'template = "{TEMPLATE}"\n' + "\n".join(lines) + "\n"
    )
    return path


def imported(host: Machine, image: Path, folder: Path) -> Iterator[str]:
    """An image as a template on a host, until the test session ends."""
    config = write_config(folder, host)
    with Ims(config=config, state=folder / "state") as ims:
        if TEMPLATE in [each.name for each in ims.list_templates()]:
            ims.delete_template(TEMPLATE)
        ims.import_template(str(image), TEMPLATE, layout="bootparams")
        yield TEMPLATE
        ims.delete_template(TEMPLATE)


def used(host: Machine, folder: Path) -> Iterator[Lab]:
    """A lab with a fresh state; whatever a test leaves there fails it."""
    config = write_config(folder, host)
    before = leftovers(host)
    with Ims() as ims:
        lab = Lab(host, ims, config)
        yield lab
        store = ims.session().store.id
        for vm in ims.list_vms():
            if vm.mark is not None and vm.mark.store == store:
                ims.delete_vm(vm.uuid)
    lab.is_as(before)


@pytest.fixture(scope="session")
def chroot_template(
    virtualbox_chroot: Machine, tiny_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The tiny guest as a template in the quick lab."""
    yield from imported(virtualbox_chroot, tiny_image, tmp_path_factory.mktemp("import"))


@pytest.fixture
def chroot(virtualbox_chroot: Machine, chroot_template: str, own_state: Path) -> Iterator[Lab]:
    """The quick lab, in which no VM starts."""
    yield from used(virtualbox_chroot, own_state)


@pytest.fixture(scope="session")
def template(
    virtualbox_lab: Machine, tiny_virtualbox_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The tiny guest with VirtualBox's programs as a template in the lab that starts guests."""
    yield from imported(virtualbox_lab, tiny_virtualbox_image, tmp_path_factory.mktemp("import"))


@pytest.fixture
def lab(virtualbox_lab: Machine, template: str, own_state: Path) -> Iterator[Lab]:
    """The lab that starts guests."""
    yield from used(virtualbox_lab, own_state)
