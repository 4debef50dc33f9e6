"""Starting machines, stopping them, holding them, and saving their memory."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_core.errors import ConflictError, DeadlineError, HypervisorError, NotFoundError
from ims_virtualbox.host import MAKING_SECONDS
from ims_virtualbox.making import SSH, free_port
from ims_virtualbox.names import FORWARD
from ims_virtualbox.vboxmanage import commands
from ims_virtualbox.vboxmanage.document import Forward
from ims_virtualbox.vboxmanage.listing import machine_state
from ims_virtualbox.vboxmanage.states import OFF, SAVED

if TYPE_CHECKING:
    from collections.abc import Collection

    from ims_virtualbox.host import VirtualBoxHost
    from ims_virtualbox.surveying import Found, Survey

__all__ = [
    "heal_forward",
    "pause",
    "power_off",
    "power_on",
    "refuse_running",
    "refuse_saved",
    "resume",
    "save",
    "shut_down",
]

PRESS_AGAIN_AFTER = 5.0
"""Seconds; a guest that is still booting does not hear the first press."""
_ENDING_SECONDS = 60.0
_PAUSE = 0.3
_ENDED = ("is not currently running", "VBOX_E_INVALID_VM_STATE")


def power_on(host: VirtualBoxHost, machine: Found, *, resuming: bool = False) -> None:
    """Start a machine without a window; what its guest wrote before is kept first."""
    subject = f"VM {machine.name}"
    if machine.folder is not None:
        how = "resume" if resuming else "start"
        host.call("keep", machine.folder.name, how, subject=subject)
    words = ("startvm", machine.uuid, "--type", "headless")
    host.manage(*words, subject=subject, timeout=MAKING_SECONDS)


def heal_forward(host: VirtualBoxHost, machine: Found, seen: Survey, ports: str) -> None:
    """Choose another port for the SSH server if somebody took it since the VM was made.

    VirtualBox would start the machine without its rule, and tell nobody.
    """
    taken = seen.ports_of_others(machine.uuid)
    for card in machine.settings.adapters:
        for rule in card.forwards:
            if rule.name == FORWARD and rule.host_port in taken:
                other = Forward(FORWARD, rule.host_ip, free_port(ports, taken), SSH)
                words = commands.other_rule(machine.uuid, card.slot, other)
                host.manage(*words, subject=f"VM {machine.name}")


def shut_down(host: VirtualBoxHost, machine: Found, timeout: float) -> None:
    """Press the power button, and watch until the machine is off.

    Raises:
        DeadlineError: It is not within ``timeout`` seconds, and keeps running.
    """
    end = time.monotonic() + timeout
    pressed = -PRESS_AGAIN_AFTER
    while (state := _state(host, machine)) not in OFF:
        now = time.monotonic()
        refuse_saved(replace(machine, state=state))
        if now >= end:
            raise DeadlineError(
                f"VM {machine.name!r} did not stop within {timeout:g} s",
                vm=machine.name,
                hint="give it more time with --timeout, or take its power away with --force",
            )
        if state == "running" and now - pressed >= PRESS_AGAIN_AFTER:
            _unless_it_ended(host, machine, "acpipowerbutton")
            pressed = now
        time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))


def power_off(host: VirtualBoxHost, machine: Found) -> None:
    """Take the power away, or give up the memory that was saved.

    A machine that is being started, saved or resumed cannot be powered off until that is over.
    """
    end = time.monotonic() + _ENDING_SECONDS
    state = machine.state
    while state not in OFF:
        if time.monotonic() > end:
            raise _still(machine, state)
        if state in SAVED:
            host.manage("discardstate", machine.uuid, subject=f"VM {machine.name}")
        else:
            _unless_it_ended(host, machine, "poweroff")
        state = _state(host, machine)
        if state not in OFF:
            time.sleep(_PAUSE)


def save(host: VirtualBoxHost, machine: Found) -> None:
    """Save the memory, and take the power away."""
    refuse_off(machine)
    words = ("controlvm", machine.uuid, "savestate")
    host.manage(*words, subject=f"VM {machine.name}", timeout=MAKING_SECONDS)
    _wait_for(host, machine, SAVED)


def resume(host: VirtualBoxHost, machine: Found) -> None:
    """Let a machine go on that was saved or is held."""
    if machine.is_off or machine.state == "gurumeditation":
        raise ConflictError(
            f"VM {machine.name!r} does not run, and nothing of it was saved",
            code="vm-not-suspended",
            vm=machine.name,
            hint=f"`ims start-vm {machine.name}`",
        )
    if machine.is_saved:
        power_on(host, machine, resuming=True)
    elif machine.state == "paused":
        host.manage("controlvm", machine.uuid, "resume", subject=f"VM {machine.name}")


def pause(host: VirtualBoxHost, machine: Found) -> None:
    """Hold the CPUs."""
    refuse_off(machine)
    refuse_saved(machine)
    if machine.state != "paused":
        host.manage("controlvm", machine.uuid, "pause", subject=f"VM {machine.name}")


def refuse_off(machine: Found) -> None:
    """Raise if the machine is off."""
    if machine.is_off:
        raise ConflictError(
            f"VM {machine.name!r} is not running",
            code="vm-not-running",
            vm=machine.name,
            hint=f"`ims start-vm {machine.name}`",
        )


def refuse_saved(machine: Found) -> None:
    """Raise if the machine's memory is saved."""
    if machine.is_saved:
        raise ConflictError(
            f"VM {machine.name!r} is suspended",
            code="vm-suspended",
            vm=machine.name,
            hint=f"`ims resume-vm {machine.name}`; a stop by --force gives its memory up",
        )


def refuse_running(machine: Found) -> None:
    """Raise if a process runs the machine."""
    if not (machine.is_off or machine.is_saved):
        raise ConflictError(
            f"VM {machine.name!r} is {machine.state or 'in a state that is not known'}",
            code="vm-running",
            vm=machine.name,
            hint=f"`ims stop-vm {machine.name}` first",
        )


def _unless_it_ended(host: VirtualBoxHost, machine: Found, word: str) -> None:
    """Control a machine whose power may go at any moment."""
    try:
        host.manage("controlvm", machine.uuid, word, subject=f"VM {machine.name}")
    except HypervisorError as error:
        if not any(each in text for each in _ENDED for text in (error.message, *error.details)):
            raise


def _wait_for(host: VirtualBoxHost, machine: Found, states: Collection[str]) -> None:
    end = time.monotonic() + _ENDING_SECONDS
    while (state := _state(host, machine)) not in states:
        if time.monotonic() > end:
            raise _still(machine, state)
        time.sleep(_PAUSE)


def _still(machine: Found, state: str) -> HypervisorError:
    return HypervisorError(
        f"VM {machine.name!r} is {state or 'in a state that is not known'} still,"
        f" {_ENDING_SECONDS:g} s later",
        vm=machine.name,
    )


def _state(host: VirtualBoxHost, machine: Found) -> str:
    """The state now; a machine that somebody removed meanwhile is off."""
    words = ("showvminfo", machine.uuid, "--machinereadable")
    try:
        return machine_state(host.manage(*words, subject=f"VM {machine.name}"))
    except NotFoundError:
        return OFF[0]
