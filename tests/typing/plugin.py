"""What a provider's author's mypy --strict sees of the SPI; it is checked and never run."""

from __future__ import annotations

from typing import assert_type

from ims_core import Clone, Provider, Suspend
from ims_core.testing import Target  # noqa: TC001 - as an author would write it


def can(provider: Provider, target: Target) -> None:
    """Optional protocols narrow."""
    if isinstance(provider, Suspend):
        provider.suspend("vm")
    if isinstance(provider, Clone):
        provider.clone("source")  # type: ignore[call-arg]
    provider.pause("vm")  # type: ignore[attr-defined]
    assert_type(target.provider, Provider)


class Wrong(Provider):
    """A method with another signature than the contract's is seen at once."""

    def delete(self, vm: int) -> None:  # type: ignore[override]
        """It takes the UUID as text."""


Wrong()  # type: ignore[abstract]
