"""KVM or emulation, decided by what the host's CPU can do.

``/dev/kvm`` may exist and open on a machine whose CPU has no virtualization extension; a guest of
type kvm then never executes an instruction, and libvirt still lists kvm among its capabilities.
Asking libvirt for those capabilities there makes it probe QEMU anew, seconds each time. Comparing
a CPU model costs a fraction of a millisecond and probes nothing, so that comes first.
"""

from __future__ import annotations

import libvirt

__all__ = ["cpu_can_virtualize", "kvm_usable"]

_MODEL = '<cpu match="minimum"><model>486</model><feature policy="require" name="{}"/></cpu>'
_ENOUGH = (libvirt.VIR_CPU_COMPARE_IDENTICAL, libvirt.VIR_CPU_COMPARE_SUPERSET)


def cpu_can_virtualize(connection: libvirt.virConnect) -> bool:
    """Whether the host's CPU has VMX (Intel) or SVM (AMD)."""
    return any(_has(connection, feature) for feature in ("vmx", "svm"))


def kvm_usable(connection: libvirt.virConnect) -> bool:
    """Whether guests of type kvm would really run."""
    if not cpu_can_virtualize(connection):
        return False
    try:
        connection.getDomainCapabilities(None, "x86_64", None, "kvm")
    except libvirt.libvirtError:
        return False  # the CPU could, but the kernel module is missing or /dev/kvm is closed
    return True


def _has(connection: libvirt.virConnect, feature: str) -> bool:
    try:
        return connection.compareCPU(_MODEL.format(feature)) in _ENOUGH
    except libvirt.libvirtError:
        return False  # not an x86 host, or a driver that does not compare CPUs
