"""What the agent of OVM Server did in its dom0: folders below /OVS, and domains of Xen."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from ims_core.errors import InvalidError
from ims_dom0.vmcfg import parse
from tests.labs import LabError
from tests.labs.ovm.vm_file import SeedFolder, for_xl, images, needed, vm_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_dom0.vmcfg import Value
    from tests.labs.ovm.dom0 import Dom0
    from tests.labs.ovm.store import VM
    from tests.labs.ovm.vm_file import Order

__all__ = ["Agent", "Host"]

_FOLDERS = ("iso_pool", "publish_pool", "running_pool", "seed_pool", "sharedDisk")

_FETCH_SECONDS = 30
_DOMAIN = re.compile(r" ([rbpscd-]{6}) +[0-9.]+ +([0-9a-f-]{36}) ")
# Domains are found by their UUID, which `xl domid` does not take; the newest, where one reboots.
# Without `xl list` nothing is known, and nobody is off.
_PRELUDE = """\
set -eu
domain() {
    all=$(xl list -v) || return
    printf '%s\\n' "$all" | awk -v uuid="$1" '$7 == uuid { id = $2 } END { print id }'
}
running() { domain=$(domain "$1"); [ -n "$domain" ] || { echo "it has no domain" >&2; exit 1; }; }
off() {
    found=$(domain "$1") || exit 1
    [ -z "$found" ] || { echo "it has a domain" >&2; exit 1; }
}
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A dom0's capacity; memory and disk in MiB."""

    cpus: int
    memory: int
    memory_free: int
    disk: int
    disk_free: int


class Agent:
    """The agent of one dom0; every method may raise LabError with what went wrong there."""

    def __init__(self, dom0: Dom0, ovs: str = "/OVS", *, patience: int = 120) -> None:
        """Nothing is done yet.

        Args:
            dom0: The dom0.
            ovs: Its directory /OVS.
            patience: For how many seconds a guest is waited for that is to shut down or reboot.
        """
        self._dom0, self._ovs, self._patience = dom0, ovs, patience
        # libxl gives up a device's script that waits long for those of another domain.
        self._building = threading.Lock()

    def prepare(self) -> None:
        """Make the directories of an OVM server."""
        self._run("mkdir -p " + " ".join(quote(f"{self._ovs}/{name}") for name in _FOLDERS))

    def host(self) -> Host:
        """What there is, and what is free."""
        text = self._run(f"xl info; df -Pm {quote(self._ovs)} | awk 'NR == 2 {{ print $2, $4 }}'")
        info = dict(_pair(line) for line in text.splitlines() if ":" in line)
        disk, disk_free = text.splitlines()[-1].split()
        numbers = (info["nr_cpus"], info["total_memory"], info["free_memory"], disk, disk_free)
        return Host(*(int(number) for number in numbers))

    def domains(self) -> dict[str, str]:
        """The state letters of each domain, by UUID."""
        return {uuid: letters for letters, uuid in _DOMAIN.findall(self._run("xl list -v"))}

    def folder(self, vm: VM) -> str:
        """Where a VM's files are."""
        return f"{self._ovs}/running_pool/{vm.folder}"

    # --- templates ---

    def register(self, name: str) -> None:
        """See that a folder of seed_pool is a template, with all that its vm.cfg names."""
        seed = self._seed(name)
        cfg = self._cfg(f"{seed.path}/vm.cfg")
        paths = " ".join(
            quote(f"{seed.path}/{file}") for file in ["System.img", *needed(cfg, seed)]
        )
        self._run(
            f'for path in {paths}; do [ -f "$path" ] || {{ echo "no $path" >&2; exit 1; }}; done'
        )

    def fetch(self, name: str, url: str) -> None:
        """Fill a new folder of seed_pool from an HTTP directory; vm.cfg says what else is there."""
        seed = self._seed(name)
        partial = f"{seed.path}.importing"
        self._run(f"rm -rf {quote(partial)}; [ ! -e {quote(seed.path)} ]; mkdir {quote(partial)}")
        self._bring(url, "vm.cfg", partial)
        for file in needed(self._cfg(f"{partial}/vm.cfg"), seed):
            self._bring(url, file, partial)
        with suppress(LabError):  # most have none
            self._bring(url, "README", partial)
        self._run(f"mv {quote(partial)} {quote(seed.path)}")

    def forget(self, name: str) -> None:
        """Remove a template's folder."""
        path = self._seed(name).path
        self._run(f"rm -rf {quote(path)} {quote(path + '.importing')}")

    # --- VMs ---

    def create(self, order: Order, template: str) -> None:
        """Copy the template's images, and write the VM's vm.cfg, which is the last step."""
        seed = self._seed(template)
        cfg = self._cfg(f"{seed.path}/vm.cfg")
        folder, sources = quote(order.folder), [f"{seed.path}/{name}" for name in images(cfg, seed)]
        copies = "".join(f"cp --sparse=always {quote(path)} {folder}\n" for path in sources)
        text = vm_file(cfg, order, seed)
        self._run(f"mkdir {folder}\n{copies}{_writing(f'{order.folder}/vm.cfg', text)}")

    def start(self, vm: VM) -> None:
        """``xm create vm.cfg``, whatever that file says by now; in words that xl reads."""
        folder = self.folder(vm)
        path = f"{folder}/vm.xl"
        try:
            text = for_xl(self._cfg(f"{folder}/vm.cfg"))
        except InvalidError as error:
            raise LabError(f"{folder}/vm.cfg: {error}") from error
        with self._building:
            self._run(f"off {vm.uuid}\n{_writing(path, text)}\nxl create {quote(path)}")

    def shutdown(self, vm: VM) -> None:
        """Ask the guest, and wait; one that does not listen goes on."""
        self._run(
            f"running {vm.uuid}; timeout {self._patience} xl shutdown -w -F $domain"
            f" || [ $? = 124 ] || off {vm.uuid}"
        )

    def power_off(self, vm: VM) -> None:
        """Take its power away, and the memory that it was suspended with."""
        self._run(
            f"domain=$(domain {vm.uuid}); [ -z $domain ] || xl destroy $domain || off {vm.uuid}\n"
            f"rm -f {quote(f'{self.folder(vm)}/memory')}"
        )

    def suspend(self, vm: VM) -> None:
        """Save its memory in its folder."""
        memory = f"{self.folder(vm)}/memory"
        partial = quote(f"{memory}.partial")
        self._run(f"running {vm.uuid}; xl save $domain {partial}; mv {partial} {quote(memory)}")

    def resume(self, vm: VM) -> None:
        """Have it go on from its saved memory, which can be done once."""
        memory = quote(f"{self.folder(vm)}/memory")
        with self._building:
            self._run(f"off {vm.uuid}; xl restore {memory}; rm {memory}")

    def suspended(self, vm: VM) -> bool:
        """Whether its memory is saved."""
        memory = quote(f"{self.folder(vm)}/memory")
        return self._run(f"[ ! -e {memory} ] || echo saved") != ""

    def pause(self, vm: VM) -> None:
        """Its CPUs stop."""
        self._run(f"running {vm.uuid}; xl pause $domain")

    def unpause(self, vm: VM) -> None:
        """Its CPUs go on."""
        self._run(f"running {vm.uuid}; xl unpause $domain")

    def reboot(self, vm: VM) -> None:
        """Ask the guest, and wait until it has a new domain; one that does not listen goes on."""
        self._run(
            f"running {vm.uuid}; xl reboot -F $domain\nfor _ in $(seq {2 * self._patience}); do"
            f" new=$(domain {vm.uuid}); [ -z $new ] || [ $new = $domain ] || exit 0; sleep 0.5\n"
            "done"
        )

    def delete(self, vm: VM) -> None:
        """Remove its files; not while it has a domain."""
        self._run(f"off {vm.uuid}; rm -rf {quote(self.folder(vm))}")

    def write_properties(self, vm: VM, name: str, properties: Mapping[str, str]) -> None:
        """A file of ``KEY=value`` lines in its folder."""
        text = "".join(f"{key}={value}\n" for key, value in properties.items())
        self._run(_writing(f"{self.folder(vm)}/{name}", text))

    # --- means ---

    def _run(self, script: str) -> str:
        return self._dom0.run(_PRELUDE + script)

    def _cfg(self, path: str) -> dict[str, Value]:
        try:
            return parse(self._run(f"cat {quote(path)}"))
        except InvalidError as error:
            raise LabError(f"{path}: {error}") from error

    def _seed(self, name: str) -> SeedFolder:
        return SeedFolder(f"{self._ovs}/seed_pool/{name}")

    def _bring(self, url: str, name: str, folder: str) -> None:
        """Fetch one file, and push it to the dom0."""
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "file")
            _fetch(f"{url.rstrip('/')}/{urllib.parse.quote(name)}", file)
            self._dom0.run(f"cat >{quote(f'{folder}/{name}')}", file)


def _writing(path: str, text: str) -> str:
    """A script that writes a file, which is there whole or not at all."""
    partial = quote(f"{path}.partial")
    return f"printf %s {quote(text)} >{partial}; mv {partial} {quote(path)}"


def _fetch(address: str, file: Path) -> None:
    try:
        with (
            urllib.request.urlopen(address, timeout=_FETCH_SECONDS) as answer,  # noqa: S310 - it is HTTP
            file.open("wb") as target,
        ):
            shutil.copyfileobj(answer, target)
    except (OSError, HTTPException) as error:
        raise LabError(f"{address}: {error}") from error


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()
