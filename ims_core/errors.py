"""Every error IMS raises.

.. code-block:: text

    ImsError
    ├── InvalidError                 exit 2   what the caller gave cannot be right
    │   ├── ConfigError                       ims.toml, or a pool's settings
    │   └── ImageError                        a template image that must not be used
    ├── NotFoundError                exit 3   provider, pool, template, VM, layout, network
    ├── ConflictError                exit 4   it is taken, or in the wrong state
    │   └── NotOursError                      a VM that IMS did not make
    ├── UnsupportedError             exit 5   this provider does not have that feature
    ├── UnavailableError             exit 6   the hypervisor cannot be reached (retryable)
    │   ├── AccessDeniedError                 it can, but not by this user
    │   └── BusyError                         it is busy with this very thing (retryable)
    ├── CapacityError                exit 7   a pool, a host or a network is full (retryable)
    ├── DeadlineError                exit 8   the time given was not enough (retryable)
    ├── GuestError                   exit 9   the guest crashed, or could not apply its context
    ├── HypervisorError              exit 10  the hypervisor refused, for a reason of its own
    └── CancelledError               exit 130 stopped by the user

Each carries a stable ``code``, an exit status, a one-line ``hint`` of what to do, and the
``vm``, ``pool`` and ``operation`` it is about. The hypervisor's own words are kept as
``__cause__`` and, in the JSON form, as ``cause``.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AccessDeniedError",
    "BusyError",
    "CancelledError",
    "CapacityError",
    "ConfigError",
    "ConflictError",
    "DeadlineError",
    "GuestError",
    "HypervisorError",
    "ImageError",
    "ImsError",
    "InvalidError",
    "NotFoundError",
    "NotOursError",
    "UnavailableError",
    "UnsupportedError",
]


class ImsError(Exception):
    """The root of the tree.

    Args:
        message: One sentence, for a person, that names the thing it is about.
        code: A stable word for programs; the class has a default.
        hint: One line that says what to do about it.
        vm: Name of the VM concerned.
        pool: Name of the pool concerned.
        operation: Id of the operation that failed.
        details: Further lines of evidence, such as the end of the guest's console.
    """

    code: str = "error"
    exit_status: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str = "",
        vm: str = "",
        pool: str = "",
        operation: str = "",
        details: tuple[str, ...] = (),
    ) -> None:
        """Keep the parts; see the class."""
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.vm = vm
        self.pool = pool
        self.operation = operation
        self.details = details

    def to_json(self) -> dict[str, Any]:
        """The error as plain data, as ``--output json`` prints it."""
        cause = self.__cause__
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "vm": self.vm,
            "pool": self.pool,
            "operation": self.operation,
            "retryable": self.retryable,
            "details": list(self.details),
            "cause": str(cause) if cause is not None else "",
        }


class InvalidError(ImsError):
    """A value that cannot be right; the message names the field and the fix."""

    code = "invalid-value"
    exit_status = 2


class ConfigError(InvalidError):
    """``ims.toml`` or a pool's settings cannot be used."""

    code = "invalid-config"


class ImageError(InvalidError):
    """A template image that is damaged, or that refers to files it must not refer to."""

    code = "invalid-image"


class NotFoundError(ImsError):
    """The provider, pool, template, VM, layout or network of that name does not exist."""

    code = "not-found"
    exit_status = 3


class ConflictError(ImsError):
    """The name or address is taken, or the thing is in the wrong state for this."""

    code = "conflict"
    exit_status = 4


class NotOursError(ConflictError):
    """The VM has no mark of IMS, so IMS does not touch it."""

    code = "not-ours"


class UnsupportedError(ImsError):
    """The provider does not have this feature."""

    code = "unsupported"
    exit_status = 5


class UnavailableError(ImsError):
    """The hypervisor cannot be reached, or stopped answering."""

    code = "hypervisor-unavailable"
    exit_status = 6
    retryable = True


class AccessDeniedError(UnavailableError):
    """The hypervisor is there, but this user may not use it."""

    code = "access-denied"
    retryable = False


class BusyError(UnavailableError):
    """The hypervisor is busy with this very thing, or has it locked; nothing was changed."""

    code = "hypervisor-busy"


class CapacityError(ImsError):
    """A pool, a host or a network is full."""

    code = "no-capacity"
    exit_status = 7
    retryable = True


class DeadlineError(ImsError):
    """The time given was not enough; the message says what each source of evidence showed."""

    code = "timeout"
    exit_status = 8
    retryable = True


class GuestError(ImsError):
    """The guest crashed, or answered that it could not apply its context."""

    code = "guest-failed"
    exit_status = 9


class HypervisorError(ImsError):
    """The hypervisor refused for a reason of its own, kept as the cause."""

    code = "hypervisor-error"
    exit_status = 10


class CancelledError(ImsError):
    """The user, or the orchestrator, stopped the operation."""

    code = "cancelled"
    exit_status = 130
