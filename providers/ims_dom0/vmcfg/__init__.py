"""Xen's domain configuration files, "vm.cfg": read without executing, written for xl.

Oracle VM 2.2 and other old dom0s start a VM with ``xm create``, which executes its file as Python;
``xl``, which came after, reads a dialect of its own (xl.cfg(5)). :func:`parse` reads both,
:func:`write_xm` writes the former and :func:`write_xl` the latter, :func:`to_xl` makes the latter's
values of the former's, and :func:`parse_disk` and :func:`write_disk` do so for one entry of
``disk``.
"""

from __future__ import annotations

from ims_dom0.vmcfg.cards import macs_of
from ims_dom0.vmcfg.disks import Disk, parse_disk, write_disk
from ims_dom0.vmcfg.python import write_xm
from ims_dom0.vmcfg.reading import Value, parse
from ims_dom0.vmcfg.writing import XlValue, to_xl, write_xl

__all__ = [
    "Disk",
    "Value",
    "XlValue",
    "macs_of",
    "parse",
    "parse_disk",
    "to_xl",
    "write_disk",
    "write_xl",
    "write_xm",
]
