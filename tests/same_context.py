"""One command line that differs by its ``--provider`` only, and what the guest then is."""

from __future__ import annotations

__all__ = ["ASKED", "COMMAND", "SEEN"]

COMMAND = (
    *("create-vm", "same01", "--memory", "128M", "--wait", "ready", "--timeout", "1200"),
    *("--ip", "192.168.177.77/24", "--set", "color=red", "--set", 'it\'s="é" & $HOME'),
)
"""Without the provider. The address is one of the KVM lab's network, which checks that."""

ASKED = (
    ". /run/ims/bootparams.conf; hostname; ip -4 -o addr show scope global | awk '{ print $4 }';"
    ' for n in 0 1; do eval "printf \'%s = %s\\n\' \\"\\$IMS_PROPERTY_${n}_NAME\\"'
    ' \\"\\$IMS_PROPERTY_${n}_VALUE\\""; done'
)
"""A command for the guest's shell."""

SEEN = ["same01", "192.168.177.77/24", "color = red", 'it\'s = "é" & $HOME']
"""The lines that it prints."""
