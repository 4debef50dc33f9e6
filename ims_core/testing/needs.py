"""What a test needs: a feature that the provider declares, or something that the target offers.

A test that cannot run for the lack of one is skipped, and the report tells the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

import pytest

from ims_core.spi import OPTIONAL

if TYPE_CHECKING:
    from ims_core.models import Carrier
    from ims_core.testing.target import Target

__all__ = ["LEFT_OUT", "UNDECLARED", "declared", "left_out", "needs_start", "undeclared"]

T = TypeVar("T")

_asked: list[str] = []
UNDECLARED = "undeclared: "
LEFT_OUT = "left out: "
"""What the reason of such a skip begins with."""

_WHY = {
    "boots": "guests do not answer here",
    "busy": "the target cannot make the hypervisor busy",
    "by_others": "the target changes no VM by other means",
    "copy_vm": "the target copies no VMs by other means",
    "deafen": "the target cannot make guests ignore a request",
    "fails": "the target cannot make the hypervisor fail",
    "break_vm": "the target breaks no VMs",
    "freeze": "the target cannot make the hypervisor stop answering",
    "evidence_at_once": "the hypervisor has no request for the evidence of many VMs",
    "expect_start": "VMs cannot be started here",
    "image": "the target names no image file, and the provider makes no VMs from raw images",
    "make_foreign": "the target makes no foreign VMs",
    "read_disk": "nobody reads the disks of VMs",
    "read_media": "nobody reads the media of VMs",
    "requests": "nobody counts the requests",
    "settings": "the target cannot be opened once more",
    "suspends_at_once": "a guest has to be up before it can be suspended",
    "unreachable": "the target has no settings of a hypervisor that is not there",
    "static_address": "the target names no free one",
}


def asked() -> tuple[str, ...]:
    """The features that tests have asked for since the last call: what the test is about."""
    found = tuple(dict.fromkeys(_asked))
    _asked.clear()
    return found


def undeclared(feature: str) -> NoReturn:
    """Skip a test: the provider does not say that it can do this."""
    pytest.skip(f"{UNDECLARED}{feature}")


def left_out(field: str) -> NoReturn:
    """Skip a test: the target does not offer this."""
    pytest.skip(f"{LEFT_OUT}{field}: {_WHY[field]}")


def declared(target: Target, protocol: type[T]) -> T:
    """The provider as that optional protocol, or a skip."""
    word = next(word for word, known in OPTIONAL.items() if known is protocol)
    _asked.append(word)
    if not isinstance(target.provider, protocol):
        undeclared(word)
    return target.provider


def declared_carrier(target: Target, carrier: Carrier) -> None:
    """Skip a test whose carrier the provider does not declare."""
    _asked.append(f"carrier {carrier}")
    if carrier not in target.provider.features.carriers:
        undeclared(f"carrier {carrier}")


def needs_start(target: Target) -> None:
    """Skip a test where no VM can be started."""
    if not target.expect_start:
        left_out("expect_start")
