"""What VBoxManage says when it fails, as our errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import (
    BusyError,
    CapacityError,
    ConflictError,
    HypervisorError,
    ImsError,
    NotFoundError,
    UnavailableError,
)
from ims_shell.shell import Answer
from ims_virtualbox.vboxmanage.errors import failed, judged
from tests.virtualbox.pretended import UUIDS

A = UUIDS[0]
WARNING = """WARNING: The character device /dev/vboxdrv does not exist.
\t Please install the virtualbox-dkms package and the appropriate
\t headers, most likely linux-headers-amd64.

\t You will not be able to start VMs until this problem is fixed.
"""
DETAILS = "VBoxManage: error: Details: code {} (0x80bb0007), component {}, interface I{}\n"
KINDS: dict[str, tuple[type[ImsError], str, str]] = {
    "locked": (
        *(BusyError, ""),
        "The machine 'web' is already locked by a session (or being locked or unlocked)\n"
        + DETAILS.format("VBOX_E_INVALID_OBJECT_STATE", "MachineWrap", "Machine"),
    ),
    "medium locked": (
        *(BusyError, ""),
        "Medium '/x.vdi' is currently locked for reading\n",
    ),
    "just removed": (
        *(BusyError, ""),
        (
            "The object is not ready\n"
            "VBoxManage: error: Details: code E_ACCESSDENIED (0x80070005), component MediumWrap\n"
        ),
    ),
    "not registered": (
        *(NotFoundError, "vm-not-found"),
        f"Could not find a registered machine with UUID {{{A}}}\n"
        + DETAILS.format("VBOX_E_OBJECT_NOT_FOUND", "VirtualBoxWrap", "VirtualBox"),
    ),
    "disk full": (
        *(CapacityError, "pool-full"),
        "Could not create '/x.vdi'.\nVBoxManage: error: VDI: cannot create it (VERR_DISK_FULL)\n",
    ),
    "no space": (*(CapacityError, "pool-full"), "write: No space left on device\n"),
    "no memory": (*(CapacityError, "host-full"), "Out of memory condition (VERR_NO_MEMORY).\n"),
    "no driver": (
        *(UnavailableError, "no-driver"),
        "Kernel driver not installed (rc=-1908)\n",
    ),
    "other driver": (*(UnavailableError, "no-driver"), "(VERR_VM_DRIVER_VERSION_MISMATCH)\n"),
    "no VT-x": (
        *(UnavailableError, "no-virtualization"),
        "VT-x is disabled in the BIOS for all CPU modes (VERR_VMX_MSR_ALL_VMX_DISABLED)\n",
    ),
    "KVM": (
        *(UnavailableError, "no-virtualization"),
        "VirtualBox can't operate in VMX root mode. (VERR_VMX_IN_VMX_ROOT_MODE).\n",
    ),
    "same UUID": (
        *(ConflictError, "uuid-taken"),
        f"Cannot register '/x.vdi' because a hard disk '/y.vdi' with UUID {{{A}}} already exists\n",
    ),
    "has children": (
        *(ConflictError, "medium-in-use"),
        "Cannot close medium '/x.vdi' because it has 1 child media\n"
        + DETAILS.format("VBOX_E_OBJECT_IN_USE", "MediumWrap", "Medium"),
    ),
    "medium is gone": (
        *(NotFoundError, "medium-not-found"),
        f"The given path '{A}' is not fully qualified\n"
        + DETAILS.format("VBOX_E_FILE_ERROR", "VirtualBoxWrap", "IVirtualBox"),
    ),
    "inaccessible": (
        *(HypervisorError, "vm-inaccessible"),
        "The object functionality is limited\n"
        + DETAILS.format("E_ACCESSDENIED", "MachineWrap", "Machine"),
    ),
    "another version": (*(HypervisorError, ""), "Unknown option: --uart9\n"),
    "anything": (
        *(HypervisorError, ""),
        "Machine 'web' is not currently running.\n",
    ),
}
STATUS = {
    NotFoundError: 3,
    ConflictError: 4,
    UnavailableError: 6,
    BusyError: 6,
    CapacityError: 7,
    HypervisorError: 10,
}
HYPERVISOR = HypervisorError("").code


def answer(text: str, status: int = 1, before: str = "") -> Answer:
    return Answer(status, b"", f"{before}VBoxManage: error: {text}")


@pytest.mark.parametrize("before", ["", WARNING], ids=["plain", "with a warning"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_kind_of_failure_is_one_error(kind: str, before: str) -> None:
    cls, code, text = KINDS[kind]
    error = judged(answer(text, before=before), "VM web")
    assert type(error) is cls
    assert error.code == (code or cls("").code)
    assert error.exit_status == STATUS[cls]
    assert error.message == f"VM web: {text.splitlines()[0]}"
    assert error.hint or not code or code == "vm-not-found"


def test_why_a_machine_did_not_start_stands_in_the_warning() -> None:
    text = (
        "The virtual machine 'web' has terminated unexpectedly during startup with exit code 1"
        " (0x1)\n" + DETAILS.format("NS_ERROR_FAILURE", "MachineWrap", "Machine")
    )
    assert judged(answer(text), "VM web").code == HYPERVISOR
    assert judged(answer(text, before=WARNING), "VM web").code == "no-driver"


@pytest.mark.parametrize("text", [text for _, _, text in KINDS.values()], ids=list(KINDS))
def test_an_error_counts_whatever_the_exit_status_says(text: str) -> None:
    assert failed(answer(text, status=0))
    assert failed(answer(text, status=0, before=WARNING))


@pytest.mark.parametrize(
    "text",
    ["", WARNING, "0%...10%...100%\n", "Warning: VBoxManage: error: is a phrase\n"],
    ids=["nothing", "no driver", "progress", "a phrase"],
)
def test_warnings_are_no_errors(text: str) -> None:
    assert not failed(Answer(0, b"", text))
    assert failed(Answer(1, b"", text))


@pytest.mark.parametrize("word", ["VBoxManage: fatal error: x", "VBoxManage.exe: error: x"])
def test_errors_have_several_beginnings(word: str) -> None:
    assert failed(Answer(0, b"", f"noise\n{word}\n"))
    assert judged(Answer(1, b"", f"noise\n{word}\n"), "VM web").message == "VM web: x"


def test_without_a_word_the_exit_status_is_told() -> None:
    assert "139" in judged(Answer(139, b"", " \n"), "VM web").message


@given(st.text(), st.integers(0, 255))
def test_any_text_becomes_one_error(text: str, status: int) -> None:
    error = judged(Answer(status, b"", text), "VM web")
    assert error.message.startswith("VM web: ")
    assert len(error.details) <= 6
