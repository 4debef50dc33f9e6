"""Bad input and bad luck with a real VBoxManage: one clear error, its status, and nothing left."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.errors import BusyError
from ims_virtualbox import VirtualBoxProvider
from ims_virtualbox.host import VirtualBoxHost
from ims_virtualbox.scripts import script
from tests.labs.commands import run
from tests.virtualbox.conftest import DIRECTORY, TEMPLATE, settings_of, write_config
from tests.virtualbox.standing_in import CALLS, REAL, instead, locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.labs.machine import Machine
    from tests.virtualbox.conftest import Lab

DEFINED = ("--memory", "64M", "--wait", "defined", "--quiet")
LAYOUT = ("--layout", "bootparams", "--quiet")
MIB = 1 << 20


def refused(lab: Lab, *arguments: str, status: int, code: str) -> dict[str, Any]:
    """Run a command that must fail, and leave everything as it was."""
    before = lab.leftovers()
    error = failed(lab, *arguments, status=status, code=code)
    lab.is_as(before)
    return error


def failed(lab: Lab, *arguments: str, status: int, code: str) -> dict[str, Any]:
    done = lab.cli(arguments[0], "--output", "json", *arguments[1:])
    assert done.returncode == status, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert error["code"] == code, error
    return error


@contextmanager
def foreign(host: Machine, name: str) -> Iterator[str]:
    """Somebody else's machine; its UUID."""
    told = host.run(f"VBoxManage -q createvm --name={shlex.quote(name)} --register")
    uuid = next(line.split()[1] for line in told.splitlines() if line.startswith("UUID: "))
    try:
        yield uuid
    finally:
        host.run(f"VBoxManage -q unregistervm {uuid} --delete")


def definition(lab: Lab, name: str) -> str:
    """All that VirtualBox keeps of somebody else's machine."""
    return lab.host.run(f"cat '/root/VirtualBox VMs/{name}/{name}.vbox'")


# --- VBoxManage itself ---


def test_a_host_without_vboxmanage_says_so(chroot: Lab) -> None:
    with instead(chroot.host, "", mode="644"):
        for verb in (("list-vms",), ("create-vm", "none01", *DEFINED), ("metrics",)):
            error = failed(chroot, *verb, status=6, code="no-vboxmanage")
            assert "install VirtualBox" in error["hint"]
        findings = json.loads(chroot.cli("check", "--output", "json").stdout)
        assert "VirtualBox" in [each["subject"] for each in findings if not each["ok"]]


def test_this_machine_without_vboxmanage_says_so(
    chroot: Lab, own_state: Path, tmp_path: Path
) -> None:
    if shutil.which("VBoxManage"):
        pytest.skip("this machine has VirtualBox")
    (own_state / "ims.toml").write_text(
        f'[pools.here]\nprovider = "virtualbox"\ndirectory = "{tmp_path}/ims"\n'
    )
    failed(chroot, "list-vms", "--pool", "here", status=6, code="no-vboxmanage")
    write_config(own_state, chroot.host)


def test_a_warning_that_comes_before_all_else_is_in_no_result(chroot: Lab) -> None:
    warning = "WARNING: The character device /dev/vboxdrv does not exist"
    assert warning in chroot.host.run("VBoxManage list vms"), "the lab's own VBoxManage warns"
    told = [
        chroot.json("create-vm", "warn01", *DEFINED),
        chroot.json("snapshot-vm", "warn01", "--name", "first", "--quiet"),
        chroot.json("list-snapshots", "warn01"),
        chroot.json("list-vms", "--all"),
        chroot.json("show-vm", "warn01"),
        chroot.json("list-templates"),
        chroot.json("metrics"),
        json.loads(chroot.cli("check", "--output", "json").stdout),
    ]
    text = json.dumps(told)
    for part in ("WARNING", "character device", "virtualbox-dkms package"):
        assert part not in text
    assert [vm["name"] for vm in told[3]] == ["warn01"]


@pytest.mark.parametrize("word", ["createvm", "setextradata", "storagectl", "storageattach"])
def test_a_failure_with_status_0_is_a_failure(chroot: Lab, word: str) -> None:
    """A stand-in: which of its commands do so differs from release to release."""
    script = (
        f'#!/bin/sh\ncase "$*" in *{word}*)\n'
        "    echo 'VBoxManage: error: The horse is dead' >&2; exit 0 ;;\n"
        f'esac\nexec {REAL} "$@"\n'
    )
    before = chroot.leftovers()
    with instead(chroot.host, script):
        error = failed(chroot, "create-vm", "zero01", *DEFINED, status=10, code="hypervisor-error")
    assert "The horse is dead" in error["message"]
    chroot.is_as(before)


@pytest.mark.parametrize("where", ["environment", "property"])
def test_another_language_changes_nothing(chroot: Lab, where: str) -> None:
    host = chroot.host
    if where == "environment":
        host.run("echo 'export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8 LANGUAGE=de' >/root/.bashrc")
        assert host.run("echo $LC_ALL").strip() == "de_DE.UTF-8", "it is what IMS finds there"
    else:
        host.run("VBoxManage -q setproperty language de")
    noting = f'#!/bin/sh\necho "$LC_ALL" >>{CALLS}\nexec {REAL} "$@"\n'
    try:
        with instead(host, noting):
            chroot.json("create-vm", "lang01", *DEFINED)
            assert set(host.run(f"cat {CALLS}").split()) == {"C.UTF-8"}
        (vm,) = chroot.json("list-vms")
        assert (vm["name"], vm["state"], vm["problem"]) == ("lang01", "defined", None)
        refused(chroot, "delete-template", TEMPLATE, status=4, code="template-in-use")
        chroot.json("delete-vm", "lang01", "--quiet")
    finally:
        host.run("rm -f /root/.bashrc; VBoxManage -q setproperty language C")


# --- locked ---


def test_a_machine_that_another_client_has_locked_is_waited_for(chroot: Lab) -> None:
    chroot.json("create-vm", "lock01", *DEFINED)
    (vm,) = chroot.ims.list_vms()
    noting = f'#!/bin/sh\necho "$*" >>{CALLS}\nexec {REAL} "$@"\n'
    with (
        instead(chroot.host, noting),
        locked(chroot.host, vm.uuid) as client,
        ThreadPoolExecutor(1) as background,
    ):
        assert client.stdin is not None
        deleting = background.submit(chroot.cli, "delete-vm", "lock01", "--quiet")
        chroot.until(
            "it tries again",
            lambda: chroot.host.run(f"grep -c unregistervm {CALLS} || :") >= "2",
        )
        assert not deleting.done()
        client.stdin.write("\n")
        client.stdin.close()
        assert deleting.result().returncode == 0
    assert chroot.ims.list_vms() == []


def test_a_machine_that_stays_locked_is_busy(chroot: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ims_virtualbox.host.LOCK_SECONDS", 1.0)
    chroot.json("create-vm", "lock02", *DEFINED)
    (vm,) = chroot.ims.list_vms()
    before = chroot.leftovers()
    with locked(chroot.host, vm.uuid):
        with pytest.raises(BusyError, match="locked") as caught:
            # As a verb it would be tried again for minutes.
            chroot.ims.session().provider.delete(vm.uuid)
        assert (caught.value.exit_status, caught.value.retryable) == (6, True)
        chroot.is_as(before)


# --- machines ---


def test_a_machine_whose_folder_is_away_has_a_problem_and_is_nobody(chroot: Lab) -> None:
    chroot.json("create-vm", "lost01", *DEFINED)
    chroot.json("create-vm", "kept01", *DEFINED)
    lost = next(vm for vm in chroot.json("list-vms") if vm["name"] == "lost01")
    folder = chroot.host.run(f"echo {DIRECTORY}/vms/lost01-*/lost01").strip()
    chroot.host.run(f"mv {folder} {folder}.away")
    try:
        found = {vm["uuid"]: vm for vm in chroot.json("list-vms", "--all")}
        away = found.pop(lost["uuid"])
        assert "cannot read its settings" in away["problem"]
        assert not away["ours"]
        assert away["name"] != "lost01"
        (kept,) = found.values()
        assert (kept["name"], kept["state"], kept["problem"]) == ("kept01", "defined", None)
        failed(chroot, "start-vm", away["name"], status=4, code="not-ours")
        failed(chroot, "delete-vm", away["name"], status=4, code="not-ours")
        chroot.json("snapshot-vm", "kept01", "--name", "first", "--quiet")
    finally:
        chroot.host.run(f"mv {folder}.away {folder}")
    assert {vm["name"] for vm in chroot.json("list-vms")} == {"lost01", "kept01"}


NAMES = (
    "it's",
    'say "quotes"',
    "two words",
    "-leading",
    "--name",
    "new\nline",
    'x"\nVMState="running"',
    "$(touch /tmp/ran)",
    "ünïcode",
    "{00000000-0000-0000-0000-000000000000}",
)


def test_whatever_others_call_their_machines_they_are_listed(chroot: Lab) -> None:
    chroot.json("create-vm", "plain01", *DEFINED)
    (ours,) = chroot.json("list-vms")
    line = f"UUID:            {ours['uuid']}\nState:           running (since 2020-01-01)\n"
    uuids = {}
    try:
        for name in NAMES:
            order = f"createvm --name={shlex.quote(name)} --register"
            told = chroot.host.run(f"LC_ALL=C.UTF-8 VBoxManage -q {order}")
            uuid = next(each.split()[1] for each in told.splitlines() if each[:6] == "UUID: ")
            uuids[uuid] = name
            chroot.vbox(f"modifyvm {uuid} --description={shlex.quote(line)}")
        found = {vm["uuid"]: vm for vm in chroot.json("list-vms", "--all")}
        assert found.pop(ours["uuid"]) == ours
        assert {uuid: vm["name"] for uuid, vm in found.items()} == uuids
        assert {(vm["state"], vm["ours"]) for vm in found.values()} == {("defined", False)}
        assert chroot.host.run("ls /tmp/ran 2>/dev/null || :") == ""
        chroot.json("delete-vm", "plain01", "--quiet")
    finally:
        for uuid in uuids:
            chroot.vbox(f"unregistervm {uuid} --delete")


def test_a_description_that_imitates_a_list_does_not_make_ours_run(chroot: Lab) -> None:
    """A stand-in for the list of what runs, as nothing does here."""
    chroot.json("create-vm", "still01", *DEFINED)
    (ours,) = chroot.json("list-vms")
    with foreign(chroot.host, "liar") as liar:
        told = "".join(
            f"Name:            {name}\nUUID:            {uuid}\n"
            f"State:           running (since 2026-01-01T00:00:00.000000000)\n{more}"
            for name, uuid, more in (
                ("liar", liar, "Description:\n"),
                ("still01", ours["uuid"], ""),
            )
        )
        script = (
            '#!/bin/sh\ncase "$*" in *"list runningvms --long"*)\n'
            f'    printf %s {shlex.quote(told)}; exit ;;\nesac\nexec {REAL} "$@"\n'
        )
        with instead(chroot.host, script):
            assert chroot.json("list-vms") == [ours]


def test_a_namesake_of_somebody_else_s_is_refused_and_untouched(chroot: Lab) -> None:
    with foreign(chroot.host, "same01"):
        before = definition(chroot, "same01")
        error = refused(chroot, "create-vm", "same01", *DEFINED, status=4, code="vm-exists")
        assert "same01" in error["message"]
        refused(chroot, "delete-vm", "same01", status=4, code="not-ours")
        assert definition(chroot, "same01") == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_namesake_that_comes_meanwhile_is_refused_and_untouched(chroot: Lab, when: str) -> None:
    rival = f"{REAL} -q createvm --name same02 --register >>{CALLS}"
    order = f'{rival}; exec {REAL} "$@"' if when == "before" else f'{REAL} "$@" && {rival}; exit'
    script = f'#!/bin/sh\ncase "$*" in *createvm*) {order} ;; esac\nexec {REAL} "$@"\n'
    before = chroot.leftovers()
    with instead(chroot.host, script):
        failed(chroot, "create-vm", "same02", *DEFINED, status=4, code="vm-exists")
        (uuid,) = {
            line.split()[1]
            for line in chroot.host.run(f"cat {CALLS}").splitlines()
            if line.startswith("UUID: ")
        }
    left = chroot.leftovers() - before
    assert left == {f'"same02" {{{uuid}}}'}
    (vm,) = chroot.json("list-vms", "--all")
    assert (vm["uuid"], vm["ours"], vm["problem"]) == (uuid, False, None)
    chroot.vbox(f"unregistervm {uuid} --delete")


@pytest.mark.parametrize("name", ["two words", "a/b", "..", "-dash", "new\nline", "x" * 64, "ü"])
def test_a_name_that_cannot_be_is_refused_before_anything_is_made(chroot: Lab, name: str) -> None:
    noting = f'#!/bin/sh\necho "$*" >>{CALLS}\nexec {REAL} "$@"\n'
    with instead(chroot.host, noting):
        options = (*DEFINED, "--", name)
        error = failed(chroot, "create-vm", *options, status=2, code="invalid-name")
        assert "name" in error["message"]
        assert "createvm" not in chroot.host.run(f"cat {CALLS}")


def test_settings_that_could_not_be_read_once_are_read_again(chroot: Lab) -> None:
    settings = VirtualBoxProvider.settings()(**settings_of(chroot.host)).model_dump()
    path = "/root/VirtualBox VMs/limited/limited.vbox"
    with foreign(chroot.host, "limited") as uuid, VirtualBoxProvider.open(settings) as provider:
        chroot.until("VBoxSVC ends", lambda: not chroot.host.run("pgrep -x VBoxSVC || :"))
        away = f"mv '{path}' /tmp/away; VBoxManage -q list vms 2>/dev/null; mv /tmp/away '{path}'"
        assert "<inaccessible>" in chroot.host.run(away)
        host = VirtualBoxHost(provider.shell, "/", script)
        host.manage("setextradata", uuid, "key", "written", subject="VM limited")
        assert "written" in definition(chroot, "limited")


# --- media ---


@pytest.fixture
def vdi(tmp_path: Path) -> Path:
    """An image that has a UUID of its own."""
    raw, image = tmp_path / "image.raw", tmp_path / "image.vdi"
    raw.write_bytes(b"\x55" * MIB)
    run("qemu-img", "convert", "-f", "raw", "-O", "vdi", raw, image)
    return image


def test_one_image_becomes_two_templates_though_virtualbox_knows_its_uuid(
    chroot: Lab, vdi: Path
) -> None:
    host = chroot.host
    before = chroot.leftovers()
    with vdi.open("rb") as image:
        subprocess.run([*host.ssh, "cat >/tmp/known.vdi"], stdin=image, check=True)
    with foreign(host, "owner") as uuid:
        chroot.vbox(f"storagectl {uuid} --name SATA --add sata")
        place = "--storagectl SATA --port 0 --device 0 --type hdd --medium /tmp/known.vdi"
        chroot.vbox(f"storageattach {uuid} {place}")
        for name in ("twin-a", "twin-b"):
            chroot.json("import-template", str(vdi), "--name", name, *LAYOUT)
            chroot.json("create-vm", f"of-{name}", "--template", name, *DEFINED)
        for vm in chroot.json("list-vms"):
            assert vm["problem"] is None
            chroot.json("delete-vm", vm["name"], "--quiet")
        for name in ("twin-a", "twin-b"):
            chroot.json("delete-template", name, "--quiet")
        assert "/tmp/known.vdi" in chroot.vbox("list hdds")
    host.run("rm -f /tmp/known.vdi")
    chroot.is_as(before)


def test_a_template_stays_while_a_disk_depends_on_it(chroot: Lab, vdi: Path) -> None:
    chroot.json("import-template", str(vdi), "--name", "needed", *LAYOUT)
    chroot.json("create-vm", "needs01", "--template", "needed", *DEFINED)
    error = refused(chroot, "delete-template", "needed", status=4, code="template-in-use")
    assert "delete the VMs" in error["hint"]
    chroot.json("delete-vm", "needs01", "--quiet")
    chroot.json("delete-template", "needed", "--quiet")


def test_a_template_whose_disk_is_damaged_can_be_deleted(chroot: Lab, vdi: Path) -> None:
    before = chroot.leftovers()
    chroot.json("import-template", str(vdi), "--name", "damaged", *LAYOUT)
    chroot.host.run(f": >{DIRECTORY}/templates/damaged/disk.vdi")
    failed(
        chroot, "create-vm", "of01", "--template", "damaged", *DEFINED,
        status=10, code="hypervisor-error",
    )  # fmt: skip
    chroot.json("delete-template", "damaged", "--quiet")
    chroot.is_as(before)


@pytest.fixture
def small(chroot: Lab) -> Iterator[str]:
    """A directory on the host with room for little."""
    place = "/run/ims-small"
    chroot.host.run(f"mkdir {place} && mount -t tmpfs -o size=14m none {place}")
    yield place
    # VirtualBox's server looks at what it knows until it ends.
    chroot.host.run(f"umount -l {place} && rmdir {place}")


def test_a_full_file_system_is_told_and_nothing_stays(
    chroot: Lab, own_state: Path, tmp_path: Path, small: str
) -> None:
    write_config(own_state, chroot.host, directory=small, clone="full")
    image = tmp_path / "random.raw"
    before = chroot.leftovers()
    with open("/dev/urandom", "rb") as noise:  # noqa: PTH123 - it is no file
        image.write_bytes(noise.read(16 * MIB))
    failed(chroot, "import-template", str(image), "--name", "big", *LAYOUT,
           status=7, code="pool-full")  # fmt: skip
    assert chroot.host.run(f"find {small} -type f") == ""
    image.write_bytes(image.read_bytes()[: 8 * MIB])
    chroot.json("import-template", str(image), "--name", "half", *LAYOUT)
    failed(chroot, "create-vm", "full01", "--template", "half", *DEFINED,
           status=7, code="pool-full")  # fmt: skip
    assert chroot.host.run(f"find {small}/vms {small}/making -mindepth 1") == ""
    chroot.json("delete-template", "half", "--quiet")
    chroot.is_as(before)
    write_config(own_state, chroot.host)
