"""What VBoxManage writes when it fails, as our errors.

Its exit status alone does not tell: some commands fail with status 0, so that standard error
counts as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import (
    BusyError,
    CapacityError,
    ConflictError,
    HypervisorError,
    ImsError,
    NotFoundError,
    UnavailableError,
)
from ims_virtualbox.vboxmanage.listing import UUID

if TYPE_CHECKING:
    from ims_shell.shell import Answer

__all__ = ["failed", "judged"]

_FAILED = re.compile(r"^VBoxManage(?:\.exe)?: (?:fatal )?error: (.*)$", re.MULTILINE)
_AT_START = re.compile(r"terminated unexpectedly during startup")
_MOST_LINES = 6


class _Kind(NamedTuple):
    """One kind of failure: how it is recognized, and what it is to us."""

    pattern: re.Pattern[str]
    error: type[ImsError]
    code: str
    hint: str


def _kind(pattern: str, error: type[ImsError], code: str = "", hint: str = "") -> _Kind:
    return _Kind(re.compile(pattern), error, code, hint)


# The first that matches counts.
_KINDS = (
    _kind(  # it ends when nobody needs it for some seconds, and cannot be had at that moment
        r"COM server is not running or failed to start|Failed to create the VirtualBox object",
        BusyError,
        hint="VirtualBox's own server VBoxSVC ends and starts by itself; does it hang?",
    ),
    _kind(  # not ready is, in a list, what another call has just removed
        r"already locked (?:by|for) a session|being (?:locked or )?unlocked"
        r"|VBOX_E_INVALID_OBJECT_STATE|VERR_PDM_MEDIA_LOCKED|is currently locked"
        r"|The object is not ready",
        BusyError,
    ),
    _kind(
        r"Could not find a registered machine",
        NotFoundError,
        "vm-not-found",
    ),
    _kind(  # a medium's UUID that it knows no more is a path to it
        rf"The given path '{UUID}' is not fully qualified",
        NotFoundError,
        "medium-not-found",
        "VirtualBox knows it no more: `VBoxManage list hdds dvds`",
    ),
    _kind(
        r"VERR_DISK_FULL|[Nn]o space left|Disk quota exceeded",
        CapacityError,
        "pool-full",
        "free space on the VirtualBox host",
    ),
    _kind(
        r"VERR_NO_MEMORY|VERR_EM_NO_MEMORY|Not enough (?:host )?memory|VERR_NO_PAGE_MEMORY",
        CapacityError,
        "host-full",
        "stop a VM there, or order less --memory",
    ),
    _kind(
        r"VERR_VM_DRIVER_NOT_INSTALLED|VERR_VM_DRIVER_NOT_ACCESSIBLE|/dev/vboxdrv"
        r"|Kernel driver not (?:installed|accessible)|VERR_VM_DRIVER_VERSION_MISMATCH",
        UnavailableError,
        "no-driver",
        "its kernel module vboxdrv must be loaded there, of the same version: `ims check` looks",
    ),
    _kind(
        r"VERR_SVM_NO_SVM|VERR_VMX_NO_VMX|VERR_SVM_DISABLED|VERR_VMX_MSR_\w+|VERR_SVM_IN_USE"
        r"|VERR_VMX_IN_VMX_ROOT_MODE",
        UnavailableError,
        "no-virtualization",
        "turn VT-x or AMD-V on in its firmware, and end what else uses it, as KVM",
    ),
    _kind(
        r"UUID \{[0-9a-f-]+\}.* already exists",
        ConflictError,
        "uuid-taken",
        "VirtualBox knows another of that UUID: `VBoxManage list vms hdds dvds`",
    ),
    _kind(
        r"VBOX_E_OBJECT_IN_USE|is still attached to|child media",
        ConflictError,
        "medium-in-use",
        "another VM or snapshot uses that medium: `VBoxManage list hdds`",
    ),
    _kind(
        r"object functionality is limited",
        HypervisorError,
        "vm-inaccessible",
        "VirtualBox cannot read the settings of that VM: `ims list-vms --all` shows why",
    ),
    _kind(
        r"Invalid command '|Unknown option: |Invalid option '|Syntax error",
        HypervisorError,
        "",
        "this VirtualBox may be too old or too new; IMS knows 6.1 to 7.2",
    ),
)


def failed(answer: Answer) -> bool:
    """Whether a call of VBoxManage went wrong, whatever its exit status says."""
    return answer.status != 0 or _FAILED.search(answer.errors) is not None


def judged(answer: Answer, subject: str) -> ImsError:
    """The error for a call that went wrong.

    Args:
        answer: Of the call.
        subject: What it was about, for people.
    """
    lines = [line for line in answer.errors.splitlines() if line.strip()]
    told = [match[1] for match in _FAILED.finditer(answer.errors)]
    first = told[0] if told else (lines[-1] if lines else f"exit status {answer.status}")
    text = answer.errors
    # Before the error stands a warning if there is no driver. It tells why a machine did not start.
    if (begin := _FAILED.search(text)) and not _AT_START.search(text):
        text = text[begin.start() :]
    for kind in _KINDS:
        if kind.pattern.search(text):
            return kind.error(
                f"{subject}: {first.strip()}",
                code=kind.code,
                hint=kind.hint,
                details=tuple(lines[-_MOST_LINES:]),
            )
    return HypervisorError(f"{subject}: {first.strip()}", details=tuple(lines[-_MOST_LINES:]))
