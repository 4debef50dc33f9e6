"""What the scripts do with a pretended Xen, through the provider."""

from __future__ import annotations

import fcntl
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import (
    BusyError,
    CapacityError,
    ConflictError,
    DeadlineError,
    HypervisorError,
    ImsError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from ims_core.models import Resource, State
from ims_core.spi import Discarded
from ims_core.undo import Undo
from ims_shell.archive import pack
from ims_xen.scripts import script
from tests.shellcheck import shellcheck
from tests.xen.pretended import (
    OPERATION,
    Gate,
    PretendedXen,
    delivery,
    mark,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_core.models import VMSpec

SCRIPTS = (
    *("adopt", "attach", "check", "console", "create", "definition", "delete", "delete_template"),
    *(
        "discard",
        "host",
        "identity",
        "import",
        "look",
        "metrics",
        "publish",
        "put",
        "resume",
        "room",
        "start",
        "stop",
    ),
    *("survey", "suspend", "templates", "update"),
)
OTHER = "fedcba9876543210"


@pytest.fixture
def xen(tmp_path: Path) -> Iterator[PretendedXen]:
    dom0 = PretendedXen(tmp_path)
    dom0.without_store()
    yield dom0
    dom0.check()


def create(xen: PretendedXen, spec: VMSpec) -> Undo:
    undo = Undo(OPERATION)
    xen.provider.create(spec, delivery(), mark(spec), undo)
    return undo


def state(xen: PretendedXen) -> State:
    (vm,) = xen.provider.inspect()
    return vm.state


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """As if another request for that folder were at work."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


# --- all of them ---


def test_every_script_is_named_here() -> None:
    from importlib.resources import files  # noqa: PLC0415

    parts = {"base", "networks", "prelude", "put_keys", "remove", "vms"}
    found = {
        each.name.removesuffix(".sh")
        for package in ("ims_shell.scripts", "ims_dom0.scripts", "ims_xen.scripts")
        for each in files(package).iterdir()
        if each.name.endswith(".sh")
    }
    assert found - parts == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_clean_to_shellcheck(name: str) -> None:
    # SC2034: a part of the prelude that this script does not use; SC2154: a variable of a trap.
    assert shellcheck(script(name), "SC2034,SC2154") == ""


# --- create ---


def test_a_name_that_a_folder_has_is_taken(xen: PretendedXen) -> None:
    first = xen.created()
    before = xen.files()
    with pytest.raises(ConflictError) as caught:
        create(xen, xen.spec())
    assert caught.value.code == "vm-exists"
    assert xen.files() == before
    assert [vm.uuid for vm in xen.provider.inspect()] == [first.uuid]


def test_a_name_that_a_domain_has_is_taken(xen: PretendedXen) -> None:
    xen.foreign("web")
    with pytest.raises(ConflictError) as caught:
        create(xen, xen.spec())
    assert caught.value.code == "vm-exists"
    assert not list(xen.pool.glob("vms/*")) + list(xen.pool.glob("making/*"))


def test_a_name_is_taken_by_a_file_too(xen: PretendedXen) -> None:
    (xen.pool / "vms").mkdir(parents=True)
    (xen.pool / "vms/web").write_text("somebody's notes")
    with pytest.raises(ConflictError):
        create(xen, xen.spec())
    assert (xen.pool / "vms/web").read_text() == "somebody's notes"


def test_a_template_that_is_missing_is_named(xen: PretendedXen) -> None:
    spec = xen.spec()
    with pytest.raises(NotFoundError) as caught:
        create(xen, replace(spec, template=replace(spec.template, name="gone")))
    assert caught.value.code == "template-not-found"
    assert not list(xen.pool.glob("making/*"))


def test_a_full_disk_leaves_nothing(xen: PretendedXen) -> None:
    xen.install(
        xen.xen / "bin/cp",
        '#!/bin/sh\nfor to; do :; done\nhead -c 9 "$0" >"$to"\n/bin/cp /dev/zero /dev/full\n',
    )
    with pytest.raises(CapacityError) as caught:
        create(xen, xen.spec())
    assert caught.value.code == "pool-full"
    assert not list(xen.pool.glob("making/*")) + list(xen.pool.glob("vms/*"))


def test_an_archive_that_was_cut_short_makes_nothing(xen: PretendedXen) -> None:
    spec = xen.spec()
    archive = pack({"vm.cfg": b"x" * 600, "mark.json": b"{}"})
    for size in range(0, 6 * 512, 256):
        if archive[:size].rstrip(b"\0") == archive.rstrip(b"\0"):
            break  # only padding is missing
        with pytest.raises(HypervisorError):
            xen.dom0.call(
                *("create", "web", f"web-{OPERATION}", "tiny", "raw", str(spec.disk)),
                stdin=archive[:size],
                subject="web",
            )
        assert not list(xen.pool.glob("making/*")) + list(xen.pool.glob("vms/*"))


def test_an_archive_that_was_cut_short_replaces_nothing(xen: PretendedXen) -> None:
    spec = xen.created()
    before = {path.name: path.read_bytes() for path in xen.vm().iterdir()}
    archive = pack({"context.json": b"new", "mark.json": b"new"})
    for size in range(0, 6 * 512, 256):
        if archive[:size].rstrip(b"\0") == archive.rstrip(b"\0"):
            break
        with pytest.raises(HypervisorError):
            xen.dom0.call("put", spec.uuid, stdin=archive[:size], subject="web")
        after = {path.name: path.read_bytes() for path in xen.vm().iterdir() if path.is_file()}
        assert after == before


# --- names ---


@pytest.mark.parametrize("name", ["123", "0", "a.b--c.example", "x" * 63])
def test_a_vm_of_any_legal_name_lives_and_goes(xen: PretendedXen, name: str) -> None:
    xen.foreign("bystander")
    spec = xen.started(name)
    other = xen.started("other")
    xen.provider.suspend(spec.uuid)
    xen.provider.resume(spec.uuid)
    xen.provider.stop(spec.uuid, force=False, timeout=10)
    xen.provider.start(spec.uuid, None)
    assert {vm.name: vm.state for vm in xen.provider.inspect([name])} == {name: State.RUNNING}
    xen.provider.delete(spec.uuid)
    assert {each["name"] for each in xen.domains()} == {"bystander", "other"}
    assert [vm.name for vm in xen.provider.inspect([other.uuid])] == ["other"]


def test_a_name_that_is_another_domains_id_hits_nobody_else(xen: PretendedXen) -> None:
    victim = xen.foreign("victim")
    spec = xen.created(victim)
    assert state_of_all(xen)[victim] is State.DEFINED
    xen.provider.start(spec.uuid, None)
    xen.provider.stop(spec.uuid, force=True, timeout=1)
    xen.provider.delete(spec.uuid)
    assert [each["name"] for each in xen.domains()] == ["victim"]


def state_of_all(xen: PretendedXen) -> dict[str, State]:
    return {vm.name: vm.state for vm in xen.provider.inspect()}


# --- start and stop ---


def test_a_start_that_xl_refuses_says_why_and_leaves_no_trace(xen: PretendedXen) -> None:
    spec = xen.created()
    xen.tell("fail-create", "libxl: error: failed to free memory for the domain\n")
    with pytest.raises(CapacityError):
        xen.provider.start(spec.uuid, None)
    assert state(xen) is State.DEFINED
    assert not xen.domains()


def test_memory_that_is_too_small_for_the_kernel_is_the_order_s_fault(xen: PretendedXen) -> None:
    spec = xen.created()
    # Of a real start with 64 MiB.
    xen.tell(
        "fail-create",
        "xc: error: panic: xg_dom_core.c:536: xc_dom_chk_alloc_pages: segment kernel too large"
        " (0x3a00 > 0x4000 - 0x1000 pages): Out of memory\n"
        "libxl: error: libxl_create.c:1709:domcreate_rebuild_done: Domain 4:cannot (re-)build\n",
    )
    with pytest.raises(InvalidError, match="too small for its kernel") as caught:
        xen.provider.start(spec.uuid, None)
    assert "--memory" in caught.value.hint
    assert any("0x3a00" in line for line in caught.value.details)
    assert not xen.domains()


@pytest.mark.parametrize("boot", ["pvh", "hvm"])
def test_a_cpu_that_cannot_virtualize_refuses_what_needs_it(xen: PretendedXen, boot: str) -> None:
    kernel = "sha256:" + "1" * 64
    spec = xen.spec(template=xen.template(boot=boot, kernel=kernel))
    xen.provider.prepare(spec)
    xen.tell("virt-caps", "pv")
    with pytest.raises(UnsupportedError) as caught:
        xen.provider.prepare(spec)
    assert caught.value.code == "boot-impossible"


def test_a_domain_whose_keys_cannot_be_written_never_runs(xen: PretendedXen) -> None:
    spec = xen.created()
    xen.install(xen.xen / "bin/python3", "#!/bin/sh\necho 'xenstored refused: EQUOTA' >&2; exit 1")
    with pytest.raises(HypervisorError, match="EQUOTA"):
        xen.provider.start(spec.uuid, None)
    assert not xen.domains()
    assert not xen.calls("unpause")
    assert state(xen) is State.DEFINED


def test_a_resume_whose_keys_cannot_be_written_keeps_the_memory(xen: PretendedXen) -> None:
    spec = xen.suspended()
    xen.install(xen.xen / "bin/python3", "#!/bin/sh\nexit 1")
    with pytest.raises(HypervisorError):
        xen.provider.resume(spec.uuid)
    assert state(xen) is State.SUSPENDED
    xen.without_store()
    xen.provider.resume(spec.uuid)
    assert state(xen) is State.RUNNING


@pytest.mark.parametrize("verb", ["restore", "unpause"])
def test_a_resume_that_xl_refuses_keeps_the_memory(xen: PretendedXen, verb: str) -> None:
    spec = xen.suspended()
    fault = xen.tell(f"fail-{verb}", "xc: error: no\n")
    with pytest.raises(HypervisorError):
        xen.provider.resume(spec.uuid)
    fault.unlink()
    xen.provider.resume(spec.uuid)
    assert state(xen) is State.RUNNING


def test_a_suspend_that_xl_refuses_keeps_the_vm_running(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.tell("fail-save", "xc: error: No space left on device\n")
    with pytest.raises(CapacityError):
        xen.provider.suspend(spec.uuid)
    assert state(xen) is State.RUNNING
    assert not list(xen.vm().glob("memory*"))


@pytest.mark.parametrize("timeout", [0.0, 0.0001, 0.3])
def test_a_guest_that_does_not_listen_keeps_running(xen: PretendedXen, timeout: float) -> None:
    spec = xen.started()
    xen.tell("deaf")
    with pytest.raises(DeadlineError):
        xen.provider.stop(spec.uuid, force=False, timeout=timeout)
    assert state(xen) is State.RUNNING


def test_a_forced_stop_does_not_wait_for_a_graceful_one(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.tell("deaf")
    with ThreadPoolExecutor(1) as background:
        asked = background.submit(xen.provider.stop, spec.uuid, force=False, timeout=2)
        wait_for(lambda: xen.has("waiting"))
        xen.provider.stop(spec.uuid, force=True, timeout=1)
        assert not asked.done()
        asked.result()
    assert state(xen) is State.STOPPED


@pytest.mark.parametrize("letters", ["---s--", "---sc-"])
def test_a_domain_that_is_only_kept_to_be_looked_at_makes_room(
    xen: PretendedXen, letters: str
) -> None:
    spec = xen.started()
    xen.set_letters(letters)
    xen.provider.start(spec.uuid, None)
    assert xen.letters() == ["-b----"]


def test_a_paused_vm_goes_on_by_resume(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.set_letters("--p---")
    assert state(xen) is State.PAUSED
    xen.provider.resume(spec.uuid)
    assert state(xen) is State.RUNNING


def test_a_start_leaves_no_memory_of_a_save_that_was_killed(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.set_letters("---s--")
    (xen.vm() / "memory").write_text(f"web\n{spec.uuid}\n64\n1\n1\n")
    xen.provider.start(spec.uuid, None)
    for domain in xen.domains():  # the guest powers itself off
        xen.remove_foreign(domain["id"])
    assert state(xen) is State.STOPPED
    with pytest.raises(ConflictError):
        xen.provider.resume(spec.uuid)


def test_the_mark_of_a_vm_and_the_manifest_of_a_template_go_last(xen: PretendedXen) -> None:
    spec = xen.created()
    cut = xen.xen / "bin/find"
    xen.install(cut, '#!/bin/sh\n/usr/bin/find "$@"\ncase $* in *-delete) kill -KILL 0 ;; esac\n')
    with pytest.raises(HypervisorError):
        xen.provider.delete(spec.uuid)
    assert [path.name for path in xen.vm().iterdir()] == ["mark.json"]
    cut.unlink()
    xen.provider.delete(spec.uuid)
    xen.install(cut, '#!/bin/sh\n/usr/bin/find "$@"\nkill -KILL 0\n')
    with pytest.raises(HypervisorError):
        xen.provider.delete_template("tiny")
    assert [path.name for path in (xen.pool / "templates/tiny").iterdir()] == ["manifest.json"]


# --- at the same time ---


def test_a_second_request_for_a_vm_waits_and_then_says_busy(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.shell.patience = 0
    calls: tuple[Callable[[], object], ...] = (
        partial(xen.provider.start, spec.uuid, None),
        partial(xen.provider.stop, spec.uuid, force=True, timeout=1),
        partial(xen.provider.suspend, spec.uuid),
        partial(xen.provider.resume, spec.uuid),
        partial(xen.provider.delete, spec.uuid),
        partial(xen.provider.write_mark, spec.uuid, mark(spec)),
        partial(xen.provider.update_context, spec.uuid, delivery("n")),
    )
    before = xen.files()
    with locked(xen.vm()):
        for call in calls:
            with pytest.raises(BusyError):
                call()
        assert state(xen) is State.RUNNING, "looking needs no lock"
    assert xen.files() == before


def test_of_two_starts_at_once_one_makes_a_domain(xen: PretendedXen) -> None:
    spec = xen.created()

    def start(_number: int) -> str:
        try:
            xen.provider.start(spec.uuid, None)
        except ConflictError as error:
            return error.code
        return "started"

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(start, range(3))) == ["started", "vm-running", "vm-running"]
    assert len(xen.calls("create")) == 1


def test_nothing_disturbs_a_save_whose_script_was_killed(xen: PretendedXen) -> None:
    spec = xen.started()
    xen.shell.patience = 0
    with ThreadPoolExecutor(1) as background, Gate(xen.xen / "save-gate") as gate:
        saving = background.submit(xen.provider.suspend, spec.uuid)
        wait_for(lambda: xen.has("saving"))
        os.kill(int((xen.xen / "saving").read_text()), signal.SIGKILL)
        with pytest.raises(BusyError):
            xen.provider.start(spec.uuid, None)
        gate.open()
        with pytest.raises(HypervisorError):
            saving.result()
    wait_for(lambda: state(xen) is State.SUSPENDED)  # the save is at work on its own
    xen.provider.resume(spec.uuid)
    assert state(xen) is State.RUNNING


def test_a_template_is_not_removed_while_a_vm_is_made_from_it(xen: PretendedXen) -> None:
    spec = xen.spec()
    xen.shell.patience = 0
    xen.install(
        xen.xen / "bin/cp", '#!/bin/sh\n: >@XEN@/copying\ncat @XEN@/cp-gate\nexec /bin/cp "$@"\n'
    )
    with ThreadPoolExecutor(1) as background, Gate(xen.xen / "cp-gate") as gate:
        making = background.submit(create, xen, spec)
        wait_for(lambda: xen.has("copying"))
        with pytest.raises(ImsError):
            xen.provider.delete_template("tiny")
        gate.open()
        making.result()
    with pytest.raises(ConflictError) as caught:
        xen.provider.delete_template("tiny")
    assert caught.value.code == "template-in-use"


# --- discard ---


def test_discard_says_what_it_found(xen: PretendedXen) -> None:
    spec = xen.spec()
    folder = Resource("folder", f"web-{OPERATION}", OPERATION)
    vm = Resource("vm", spec.uuid, OPERATION)
    template = Resource("template", f"tiny/{OPERATION}", OPERATION)
    for absent in (folder, vm, replace(template, name=f"nobody/{OPERATION}")):
        assert xen.provider.discard(absent) is Discarded.ABSENT
    create(xen, spec)
    assert xen.provider.discard(replace(vm, operation=OTHER)) is Discarded.NOT_OURS
    assert xen.provider.discard(template) is Discarded.NOT_OURS
    assert xen.provider.discard(vm) is Discarded.REMOVED
    assert xen.provider.discard(vm) is Discarded.ABSENT
    (xen.pool / "making" / folder.name).mkdir()
    assert xen.provider.discard(folder) is Discarded.REMOVED
    assert not list(xen.pool.glob("vms/*")) + list(xen.pool.glob("making/*"))


def test_discard_of_a_template_whose_manifest_went_first(xen: PretendedXen) -> None:
    xen.template()
    manifest = xen.pool / "templates/tiny/manifest.json"
    manifest.write_text(f'{{\n "operation": "{OPERATION}"\n}}')
    xen.install(xen.xen / "bin/rm", '#!/bin/sh\n/bin/rm -f "$2" "$2/manifest.json"; kill -KILL 0\n')
    template = Resource("template", f"tiny/{OPERATION}", OPERATION)
    with pytest.raises(HypervisorError):
        xen.provider.discard(template)
    (xen.xen / "bin/rm").unlink()
    assert xen.provider.discard(template) is not Discarded.NOT_OURS
    assert not (xen.pool / "templates/tiny").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_discard_waits_for_a_create_that_nobody_listens_to(xen: PretendedXen, killed: bool) -> None:
    xen.install(
        xen.xen / "bin/cp",
        "#!/bin/sh\necho $PPID >@XEN@/pid\nmv @XEN@/pid @XEN@/copying\n"
        'cat @XEN@/cp-gate\nexec /bin/cp "$@"\n',
    )
    folder = Resource("folder", f"web-{OPERATION}", OPERATION)
    with ThreadPoolExecutor(2) as background, Gate(xen.xen / "cp-gate") as gate:
        making = background.submit(create, xen, xen.spec())
        wait_for(lambda: xen.has("copying"))
        if killed:
            os.kill(int((xen.xen / "copying").read_text()), signal.SIGKILL)
        xen.install(
            xen.xen / "bin/flock", '#!/bin/sh\n: >@XEN@/locking\nexec /usr/bin/flock "$@"\n'
        )
        discarding = background.submit(xen.provider.discard, folder)
        wait_for(lambda: xen.has("locking"))
        assert not discarding.done()
        gate.open()
        assert discarding.result() is Discarded.REMOVED
        assert (making.exception() is not None) is killed
    assert not list(xen.pool.glob("vms/*")) + list(xen.pool.glob("making/*"))
