"""The benchmark: whole commands of IMS and of its peers, in turn, on the same libvirt.

``python -m tests.bench`` starts the KVM lab unless libvirt answers, gives both sides the same
storage pool, network, image and sizes, and prints the ratios beside their budgets. Nothing here
is a test: a number over its budget is reported and fails nothing.
"""

from __future__ import annotations


class BenchError(Exception):
    """A command that was to be measured failed, so that its time means nothing."""
