"""The programs that run inside guests, shipped as data beside this module.

Each is one POSIX shell script, assembled here from parts that only define functions, so that a part
is written once and a script needs no other file in the guest.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from shlex import quote

__all__ = [
    "cloud_init_receipt",
    "cloud_init_step",
    "optimis_auto_mounter",
    "optimis_bootstrap",
    "program",
]

_PARTS = Path(__file__).with_name("parts")


def program() -> bytes:
    """The guest program ``ims-context``, a POSIX shell script to be installed in a template."""
    return _assembled(
        "head",
        *("base", "medium", "values", "conf", "item", "once"),
        *("cards", "network", "plain", "managers", "accounts", "files"),
        *("receipt", "watch", "main"),
    )


def cloud_init_receipt(label: str, checks: str, root: str = "") -> bytes:
    """The script by which a guest of cloud-init answers; cloud-init is to run it at each boot.

    Args:
        label: Of the medium, which may have it in upper case as well.
        checks: Where on the medium ``ims.checks`` is.
        root: The machine's root; another directory for tests.
    """
    labels = f"{label} {label.upper()}"
    facts = f"labels={quote(labels)} checks={quote(checks)} root={quote(root)}\n"
    parts = ("base", "medium", "item", "cards", "receipt", "cloud-init")
    return b"#!/bin/sh\n" + _assembled("cloud-init-head") + facts.encode() + _assembled(*parts)


def cloud_init_step() -> bytes:
    """The script that cloud-init runs each file and script of a context by."""
    return _assembled("cloud-init-step")


def optimis_bootstrap() -> bytes:
    """The script ``scripts/bootstrap.sh`` of OPTIMIS' discs, which such a guest runs."""
    return _assembled("optimis-bootstrap")


def optimis_auto_mounter() -> bytes:
    """The script by which such a guest sees a recontextualization disc over its context disc."""
    return _assembled("optimis-auto-mounter")


@cache
def _assembled(*parts: str) -> bytes:
    return b"\n".join((_PARTS / f"{part}.sh").read_bytes() for part in parts)
