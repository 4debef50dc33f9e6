"""A shell on the machine that a pool's settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_shell.shell import Shell

__all__ = ["open_shell"]


def open_shell(settings: Mapping[str, Any]) -> Shell:
    """Connect as :class:`ims_shell.settings.ShellSettings` say; validated, as plain data.

    Raises:
        UnavailableError: The machine does not answer.
        AccessDeniedError: It does not let us in.
    """
    if not settings["host"]:
        from ims_shell.local import LocalShell  # noqa: PLC0415 - one of the two is enough

        return LocalShell()
    from ims_shell.ssh import SshTarget, open_ssh  # noqa: PLC0415 - paramiko costs 100 ms

    fields = ("host", "user", "port", "identity_file", "known_hosts", "host_key", "ssh_config")
    return open_ssh(SshTarget(**{field: settings[field] for field in fields}))
