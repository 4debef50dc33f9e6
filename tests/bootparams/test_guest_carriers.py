"""The guest program with the carriers that are no media, and when its context changes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
from base64 import b64decode, b64encode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_bootparams import guest
from ims_bootparams.digest import digest_of
from ims_bootparams.layouts.bootparams import render
from ims_bootparams.receipt import parse_receipt
from ims_bootparams.values import to_values
from ims_core.models import CarrierLimits, Context, File, Script
from tests.bootparams import contexts
from tests.bootparams.helpers import write_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ims_core.models import Receipt

pytestmark = pytest.mark.disk_label

CONTEXT = replace(contexts.small(), files=(File("/etc/bytes", bytes(range(256)) * 9),))
XENSTORE = {
    "xenstore-read": '#!/bin/sh\ncat "$STORE/$1"\n',
    "xenstore-write": '#!/bin/sh\nmkdir -p "$STORE/${1%/*}"\nprintf %s "$2" >"$STORE/$1"\n',
}
VBOX = {
    "VBoxControl": """#!/bin/sh
shift 2 # --nologo guestproperty
case $1 in
get) [ -e "$STORE/$2" ] && printf 'Value: %s\\n' "$(cat "$STORE/$2")" || echo 'No value set!' ;;
enumerate) [ ! -e "$STORE/$3" ] || echo "Name: $3, value: x, flags: $(cat "$STORE/flags")" ;;
set) mkdir -p "$STORE/${2%/*}" && printf %s "$3" >"$STORE/$2" ;;
esac
"""
}


class Hypervisor:
    """A machine of files, and a hypervisor's own keys and values as files too."""

    def __init__(self, shell: list[str], folder: Path, kind: str) -> None:
        self.store, self.root = folder / "store", folder / "root"
        tools, device, self.told, self.said, self.limits = {
            "xenstore": (
                XENSTORE, "dev/xen/xenbus", "vm-data/ims", "data/ims/receipt",
                CarrierLimits(1 << 20, 3000),
            ),
            "guest-properties": (
                VBOX, "dev/vboxguest", "IMS/Context", "IMS/Receipt", CarrierLimits(1 << 20, 120),
            ),
        }[kind]  # fmt: skip
        write_files(folder / "bin", {name: text.encode() for name, text in tools.items()})
        for tool in (folder / "bin").iterdir():
            tool.chmod(0o755)
        program = folder / "ims-context"
        program.write_bytes(guest.program())
        write_files(
            self.root,
            {
                device: b"",
                "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
                "etc/group": b"root:x:0:\n",
            },
        )
        self.command = [*shell, str(program)]
        self.environment = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "STORE": str(self.store),
        }

    def tell(self, files: Mapping[str, bytes], nonce: str) -> None:
        shutil.rmtree(self.store / self.told, ignore_errors=True)
        write_files(self.store, {"flags": b"TRANSRESET, RDONLYGUEST"})
        for key, value in to_values(files, nonce, self.limits).items():
            write_files(self.store / self.told, {key: value.encode()})

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        command = [*self.command, *words, "--root", str(self.root), "--act"]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def boot(self) -> bytes:
        with self.run("--wait", "0") as process:
            return process.communicate(timeout=60)[0]

    def receipt(self) -> Receipt | None:
        """What the hypervisor was told, if it is whole: the nonce is written last."""
        folder = self.store / self.said
        try:
            before = (folder / "nonce").read_text()
            count = int((folder / "chunks").read_text())
            text = "".join((folder / f"chunk/{i:04}").read_text() for i in range(count))
            receipt = parse_receipt(b64decode(text, validate=True))
        except (FileNotFoundError, ValueError):
            return None
        return receipt if receipt and receipt.nonce == before else None


@pytest.fixture(params=["xenstore", "guest-properties"])
def machine(shell: list[str], tmp_path: Path, request: pytest.FixtureRequest) -> Hypervisor:
    if os.path.exists("/dev/disk/by-label/IMS"):  # noqa: PTH110
        pytest.skip("this machine has a medium of ours itself")
    return Hypervisor(shell, tmp_path, request.param)


def until(happened: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def nonce_of(machine: Hypervisor) -> str:
    receipt = machine.receipt()
    return receipt.nonce if receipt else ""


def test_a_context_of_keys_and_values_is_applied_and_answered_for(machine: Hypervisor) -> None:
    files = render(CONTEXT)
    machine.tell(files, "n-1")
    machine.boot()
    receipt = machine.receipt()
    assert receipt
    assert receipt.problem(digest=digest_of(files), nonce="n-1") == ""
    assert (machine.root / "etc/bytes").read_bytes() == CONTEXT.files[0].content


def test_a_guest_of_virtualbox_answers_by_its_serial_port_as_well(
    shell: list[str], tmp_path: Path
) -> None:
    machine = Hypervisor(shell, tmp_path, "guest-properties")
    files = {
        "sys/class/dmi/id/product_name": b"VirtualBox\n",
        "sys/class/tty/ttyS1/type": b"4\n",
        "dev/ttyS1": b"",
    }
    write_files(machine.root, files)
    machine.tell(render(CONTEXT), "n-1")
    machine.boot()
    by_port = parse_receipt((machine.root / "dev/ttyS1").read_bytes())
    assert by_port is not None
    assert by_port == machine.receipt()


def test_many_items_need_many_chunks_of_a_receipt(machine: Hypervisor) -> None:
    many = tuple(File(f"/etc/f{i}", b"x") for i in range(150))
    machine.tell(render(replace(CONTEXT, files=many)), "n-1")
    machine.boot()
    receipt = machine.receipt()
    assert receipt
    assert len([item for item in receipt.items if item.name.startswith("files.")]) == 150


@pytest.mark.parametrize(
    "change",
    [
        {"format": "2"},
        {"chunks": "9999999"},
        {"chunks": "x; touch marker"},
        {"chunk/0000": "####"},
        {"chunk/0000": "aGVsbG8="},
    ],
)
def test_damaged_keys_apply_nothing(machine: Hypervisor, change: dict[str, str]) -> None:
    machine.tell(render(CONTEXT), "n-1")
    write_files(machine.store / machine.told, {k: v.encode() for k, v in change.items()})
    assert b"cannot be read" in machine.boot()
    assert machine.receipt() is None
    assert not (machine.root / "etc/bytes").exists()


def test_what_a_user_of_the_guest_may_have_set_is_no_context(
    shell: list[str], tmp_path: Path
) -> None:
    machine = Hypervisor(shell, tmp_path, "guest-properties")
    machine.tell(render(CONTEXT), "n-1")
    (machine.store / "flags").write_text("")
    assert b"no context was found" in machine.boot()
    assert not (machine.root / "etc/bytes").exists()


def test_an_archive_with_a_hard_link_applies_nothing(machine: Hypervisor, tmp_path: Path) -> None:
    secret = write_files(tmp_path, {"secret": b"IMS_FORMAT='1'\n"}) / "secret"
    secret.chmod(0o400)
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("bootparams.conf")
        link.type, link.linkname, link.mode = tarfile.LNKTYPE, str(secret), 0o400
        archive.addfile(link)
    machine.tell(render(CONTEXT), "n-1")
    value = b64encode(packed.getvalue())
    write_files(machine.store / machine.told, {"chunks": b"1", "chunk/0000": value})
    assert b"cannot be read" in machine.boot()
    assert secret.stat().st_mode & 0o777 == 0o400
    assert secret.stat().st_nlink == 1


def test_a_first_run_that_was_ended_is_made_up_for_by_the_watcher(machine: Hypervisor) -> None:
    hangs = Script("hangs", b"#!/bin/sh\nexec sleep 300\n")
    after = Script("after", b"#!/bin/sh\nexit 0\n")
    files = render(replace(CONTEXT, scripts=(hangs, after)))
    machine.tell(files, "n-1")
    first = machine.run("--wait", "0")
    applied = machine.root / "var/lib/ims/applied"
    until(lambda: applied.exists() and "it was started" in applied.read_text())
    until(lambda: descendants(first.pid, "sleep"))
    (script,) = descendants(first.pid, "sleep")
    first.kill()
    os.kill(script, signal.SIGKILL)
    first.communicate()
    assert machine.receipt() is None
    watcher = machine.run("watch")
    try:
        until(lambda: nonce_of(machine) == "n-1")
    finally:
        watcher.kill()
        watcher.communicate()
    receipt = machine.receipt()
    assert receipt
    said = {item.name: item.message for item in receipt.items if not item.ok}
    assert said == {"scripts.0": "it was started and did not end"}


def descendants(pid: int, name: str) -> list[int]:
    """The processes of that name below one; they come and go while this looks."""
    children = [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children")
                for each in read(path).split()]  # fmt: skip
    named = [each for each in children if read(Path(f"/proc/{each}/comm")).strip() == name]
    return named + [each for child in children for each in descendants(child, name)]


@pytest.fixture
def domain(shell: list[str], tmp_path: Path) -> Hypervisor:
    """A guest of Xen that was told, and answered."""
    machine = Hypervisor(shell, tmp_path, "xenstore")
    write_files(machine.store, {"vm": b"/vm/11111111-2222-3333-4444-555555555555"})
    machine.tell(render(CONTEXT), "n-1")
    machine.boot()
    assert nonce_of(machine) == "n-1"
    return machine


def made_anew(domain: Hypervisor) -> None:
    """What Xen does at a reboot and at a restore: a new domain, in whose place nothing stands."""
    shutil.rmtree(domain.store / domain.told, ignore_errors=True)
    shutil.rmtree(domain.store / domain.said)
    shutil.rmtree(domain.root / "run")


def test_after_a_reboot_without_keys_the_last_context_holds(domain: Hypervisor) -> None:
    made_anew(domain)
    write_files(domain.root, {"etc/hostname": b"lost\n"})
    domain.boot()
    receipt = domain.receipt()
    assert receipt
    assert receipt.problem(digest=digest_of(render(CONTEXT)), nonce="n-1") == ""
    assert (domain.root / "etc/hostname").read_text() == f"{CONTEXT.hostname}\n"
    assert oct((domain.root / "var/lib/ims").stat().st_mode & 0o777) == "0o700"


def test_what_another_vm_was_told_does_not_hold(domain: Hypervisor) -> None:
    made_anew(domain)
    write_files(domain.store, {"vm": b"/vm/99999999-2222-3333-4444-555555555555"})
    assert b"no context was found" in domain.boot()
    assert domain.receipt() is None


def test_keys_that_come_after_such_a_reboot_count(domain: Hypervisor) -> None:
    made_anew(domain)
    domain.boot()
    watcher = domain.run("watch")
    try:
        domain.tell(render(replace(CONTEXT, hostname="other")), "n-2")
        until(lambda: nonce_of(domain) == "n-2")
    finally:
        watcher.kill()
        watcher.communicate()
    assert (domain.root / "etc/hostname").read_text() == "other\n"


def test_an_answer_that_got_lost_is_given_again(domain: Hypervisor) -> None:
    watcher = domain.run("watch")
    try:
        shutil.rmtree(domain.store / domain.said)
        until(lambda: nonce_of(domain) == "n-1")
    finally:
        watcher.kill()
        watcher.communicate()
    receipt = domain.receipt()
    assert receipt
    assert receipt.digest == digest_of(render(CONTEXT))


def read(path: Path) -> str:
    """What a file of a process says; nothing if it has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_nothing_told_is_nothing_to_do(machine: Hypervisor) -> None:
    assert b"no context was found" in machine.boot()


def test_a_watcher_applies_what_changes_and_answers(machine: Hypervisor) -> None:
    script = Script("once", b'#!/bin/sh\necho ran >>"${IMS_BOOTPARAMS%/run/*}/ran"\n')
    first = replace(CONTEXT, scripts=(script,))
    machine.tell(render(first), "n-1")
    machine.boot()
    watcher = machine.run("watch")
    try:
        second = replace(first, hostname="other", files=(File("/etc/bytes", b"new"),))
        machine.tell(render(second), "n-2")
        until(lambda: nonce_of(machine) == "n-2")
        receipt = machine.receipt()
        assert receipt
        assert receipt.problem(digest=digest_of(render(second)), nonce="n-2") == ""
        assert (machine.root / "etc/bytes").read_bytes() == b"new"
        assert (machine.root / "etc/hostname").read_text() == "other\n"
        assert (machine.root / "ran").read_text() == "ran\n", "the script had run before"
        machine.tell(render(second), "n-3")
        until(lambda: nonce_of(machine) == "n-3")
    finally:
        watcher.kill()
        watcher.communicate()


def test_a_watcher_finds_what_comes_later(machine: Hypervisor) -> None:
    watcher = machine.run("watch")
    try:
        machine.tell(render(CONTEXT), "n-1")
        until(lambda: nonce_of(machine) == "n-1", 40.0)
    finally:
        watcher.kill()
        watcher.communicate()


def test_a_script_s_name_tells_when_it_runs(machine: Hypervisor) -> None:
    def script(name: str) -> Script:
        line = f'echo {name} >>"${{IMS_BOOTPARAMS%/run/*}}/ran"\n'
        return Script(name, f"#!/bin/sh\n{line}".encode())

    names = ("install/app", "config/app", "reset/app", "plain")
    scripts = tuple(map(script, names))

    def ran(context: Context, nonce: str) -> list[str]:
        (machine.root / "ran").unlink(missing_ok=True)
        machine.tell(render(context), nonce)
        machine.boot()
        path = machine.root / "ran"
        return path.read_text().split() if path.exists() else []

    context = replace(CONTEXT, scripts=scripts)
    assert ran(context, "n-1") == list(names)
    assert ran(context, "n-2") == ["reset/app"], "another boot"
    assert ran(replace(context, hostname="b"), "n-3") == ["config/app", "reset/app"]


def test_two_runs_never_overlap(machine: Hypervisor) -> None:
    if shutil.which("flock") is None or "busybox" in machine.command[0]:
        pytest.skip("there is no flock here")
    busy = Script("busy", b"#!/bin/sh\nr=${IMS_BOOTPARAMS%/run/*}\n[ ! -e $r/in ] || exit 9\n"
                  b">$r/in\nsleep 1\nrm $r/in\n")  # fmt: skip
    machine.tell(render(replace(CONTEXT, scripts=(replace(busy, name="reset/a"),))), "n-1")
    processes = [machine.run("--wait", "0") for _ in range(3)]
    assert [p.communicate(timeout=60) and p.returncode for p in processes] == [0, 0, 0]
