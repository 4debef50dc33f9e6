"""The KVM lab as the ground of a matrix: looked at by virsh and ls, put back by virsh and cp.

Its template is an empty disk, so no guest boots; what is proved here is what the host keeps.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.crash.ground import (
    FOREIGN,
    KEPT,
    POOL,
    SPARE,
    TWO_MEDIA,
    VICTIM,
    Ground,
    Seen,
    fingerprint,
)
from tests.labs.kvm.resources import refresh_pool, virsh

if TYPE_CHECKING:
    from tests.labs.kvm import KvmLab

__all__ = ["KvmGround"]

SIZE = 512 << 10
_MARK = "{urn:ims:mark:1}mark"
_OURS = (VICTIM, KEPT, FOREIGN)
_WRITTEN_BY_GUESTS = (".log", ".receipt")
_FOREIGN_XML = f"""
<domain type='qemu'>
  <name>{FOREIGN}</name><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os>
</domain>"""


@dataclass(frozen=True, slots=True)
class Pool:
    """Everything in the lab, as it was."""

    files: Path
    definitions: dict[str, str]
    running: frozenset[str]
    hosts: frozenset[str]


@dataclass
class KvmGround(Ground):
    """The lab with a template, a VM that stays, and what others put there."""

    lab: KvmLab = field(kw_only=True)
    pools: dict[str, Pool] = field(default_factory=dict)

    @classmethod
    def make(cls, root: Path, lab: KvmLab, uri: str) -> KvmGround:
        """Make it, with the bases ``empty``, ``off``, ``running`` and ``two-media``.

        :meth:`close` removes it.
        """
        ground = cls(root, lab=lab)
        (root / "ims.toml").write_text(
            f'default_pool = "{POOL}"\n[pools.{POOL}]\nprovider = "kvm"\ntemplate = "crash-tiny"\n'
            f'uri = "{uri}"\nstorage_pool = "{lab.pool}"\nnetwork = "{lab.network}"\n'
        )
        ground.save_pool("nothing")
        try:
            ground._fill()
        except BaseException:
            ground.close()
            raise
        return ground

    def close(self) -> None:
        """Leave the lab as it was found."""
        self.restore_pool("nothing")

    def _fill(self) -> None:
        image = self.root / "image.raw"
        image.write_bytes(b"\0" * SIZE)
        for name in ("crash-tiny", SPARE):
            self.well("import-template", str(image), "--name", name, "--layout", "bootparams")
        memory = ("--memory", "64M")
        self.well("create-vm", KEPT, *memory, "--ip", "192.168.177.40", "--wait", "defined")
        virsh("define", "/dev/stdin", xml=_FOREIGN_XML)
        (self.lab.pool_path / f"{VICTIM}-keep.qcow2").write_bytes(b"somebody's")
        self._hosts("add", f"<host mac='52:54:00:99:99:99' name='{VICTIM}x' ip='192.168.177.41'/>")
        self.save("empty")
        self.well("create-vm", VICTIM, *memory, "--ip", self.address, "--wait", "defined")
        self.save("off")
        self.well("start-vm", VICTIM, "--wait", "running")
        self.save("running")
        self.restore("empty")
        self.well("create-vm", VICTIM, *memory, "--ip", self.address, *TWO_MEDIA)
        self.save("two-media")

    @property
    def roots(self) -> dict[str, str]:
        return {"state": str(self.state)}

    @property
    def address(self) -> str:
        return "192.168.177.42"

    def pool(self) -> tuple[dict[str, str], dict[str, Seen], frozenset[str]]:
        refresh_pool(self.lab.pool)
        running = set(virsh("list", "--name").split())
        things = {f"host {line}": "" for line in self._host_lines()}
        things |= {f"volume {name}": "" for name in self._volumes()}
        things |= {f"file {path.name}": _print(path) for path in self._files()}
        vms = {}
        for name in virsh("list", "--all", "--name").split():
            definition = virsh("dumpxml", name, "--inactive")
            digest = sha256(_sorted(definition).encode()).hexdigest()[:16]
            things[f"domain {name}"] = f"{digest}{' running' if name in running else ''}"
            live = virsh("dumpxml", name) if name in running else definition
            if (seen := _seen(live, running=name in running)) is not None:
                vms[name] = seen
        return things, vms, self._templates()

    def missing(self, vm: Seen, things: set[str]) -> list[str]:
        stem = f"{VICTIM}-{vm.operation}"
        needed = {f"domain {VICTIM}", f"file {stem}.qcow2", f"volume {stem}.qcow2"}
        reserved = any(_is_host(thing, VICTIM) and self.address in thing for thing in things)
        return sorted(needed - things) + ([] if reserved else [f"host entry of {self.address}"])

    def owns(self, vm: Seen, thing: str) -> bool:
        return vm.operation in thing or thing == f"domain {VICTIM}" or _is_host(thing, VICTIM)

    # --- putting back ---

    def save_pool(self, base: str) -> None:
        refresh_pool(self.lab.pool)
        files = self.root / "saved" / base / "files"
        files.mkdir(parents=True)
        for path in self._files():
            _copy(path, files / path.name)
        names = [name for name in virsh("list", "--all", "--name").split() if name in _OURS]
        self.pools[base] = Pool(
            files,
            {name: virsh("dumpxml", name, "--inactive") for name in names},
            frozenset(virsh("list", "--name").split()) & set(names),
            frozenset(self._host_lines()),
        )

    def restore_pool(self, base: str) -> None:
        pool = self.pools[base]
        stale = self._stop_what_differs(pool)
        kept = {path.name: path for path in pool.files.iterdir()}
        changed = bool(stale)
        for path in self._files():
            if path.name not in kept:
                path.unlink()
                changed = True
        for name, path in kept.items():
            target = self.lab.pool_path / name
            if not target.exists() or _print(path) != _print(target):
                target.unlink(missing_ok=True)
                _copy(path, target)
                changed = True
        if changed:
            refresh_pool(self.lab.pool)
        for name in set(stale) & set(pool.definitions):
            virsh("define", "/dev/stdin", xml=pool.definitions[name])
        now = frozenset(self._host_lines())
        for line in now - pool.hosts:
            self._hosts("delete", line)
        for line in pool.hosts - now:
            self._hosts("add", line)
        for name in pool.running - set(virsh("list", "--name").split()):
            virsh("start", name)

    def _stop_what_differs(self, pool: Pool) -> list[str]:
        """End and forget our domains that are not as they were; returns those to be defined."""
        running = set(virsh("list", "--name").split())
        present = [name for name in virsh("list", "--all", "--name").split() if name in _OURS]
        stale = [name for name in pool.definitions if name not in present]
        for name in present:
            known = pool.definitions.get(name)
            as_it_was = known and _sorted(virsh("dumpxml", name, "--inactive")) == _sorted(known)
            if as_it_was and (name in running) == (name in pool.running):
                continue
            stale.append(name)
            if name in running:
                virsh("destroy", name)
            virsh("undefine", name, "--managed-save", "--snapshots-metadata", "--nvram")
        return stale

    # --- looking ---

    def _files(self) -> list[Path]:
        return [path for path in self.lab.pool_path.iterdir() if path.is_file()]

    def _volumes(self) -> list[str]:
        lines = virsh("vol-list", self.lab.pool).splitlines()
        return [line.split()[0] for line in lines if line.strip()]

    def _templates(self) -> frozenset[str]:
        """Those whose manifest is whole."""
        manifests = self.lab.pool_path.glob("ims-template-*.json")
        prefix = len("ims-template-")
        return frozenset(
            path.stem[prefix:] for path in manifests if path.read_bytes().rstrip().endswith(b"}")
        )

    def _host_lines(self) -> list[str]:
        lines = virsh("net-dumpxml", self.lab.network, "--inactive").splitlines()
        live = virsh("net-dumpxml", self.lab.network).splitlines()
        hosts = [{line.strip() for line in each if "<host " in line} for each in (lines, live)]
        # One that is in the definition only, or in the running network only, is neither.
        return sorted(hosts[0] & hosts[1] | {f"half {line}" for line in hosts[0] ^ hosts[1]})

    def _hosts(self, verb: str, line: str) -> None:
        virsh(
            *("net-update", self.lab.network, verb, "ip-dhcp-host", line.removeprefix("half ")),
            *("--live", "--config"),
        )


def _copy(path: Path, target: Path) -> None:
    """Without extended attributes: libvirt notes there who uses a file."""
    shutil.copyfile(path, target)
    shutil.copymode(path, target)


def _is_host(thing: str, name: str) -> bool:
    return thing.startswith("host ") and f"name='{name}'" in thing


def _print(path: Path) -> str:
    """A file's fingerprint; what a guest writes says nothing."""
    return "there" if path.suffix in _WRITTEN_BY_GUESTS else fingerprint(path)


def _sorted(xml: str) -> str:
    """A definition with its devices in some order: a libvirtd that was restarted has its own."""
    domain = ET.fromstring(xml)  # noqa: S314 - from virsh
    devices = domain.find("devices")
    if devices is not None:
        devices[:] = sorted(devices, key=ET.tostring)
    return ET.canonicalize(ET.tostring(domain), strip_text=True)


def _seen(xml: str, *, running: bool) -> Seen | None:
    """A domain with our mark."""
    domain = ET.fromstring(xml)  # noqa: S314 - from virsh
    mark = domain.find(f"metadata/{_MARK}")
    uuid = domain.findtext("uuid") or ""
    if mark is None or mark.get("vm") != uuid:
        return None
    sources = domain.iterfind("devices/disk[@device='cdrom']/source")
    files = [Path(source.get("file", "")) for source in sources]
    return Seen(
        uuid,
        mark.get("operation", ""),
        mark.get("status") == "complete",
        running,
        tuple(
            each.read_bytes() if each.is_file() and os.access(each, os.R_OK) else b""
            for each in files
        ),
    )
