"""What a provider says about itself, its settings and its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core.models import Carrier
from ims_core.testing.bench import everything

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_check_makes_nothing_and_says_how_to_mend",
    "test_closing_twice_is_harmless",
    "test_each_setting_is_described",
    "test_features_are_within_what_is_known",
    "test_hosts_have_a_capacity",
    "test_what_is_made_outlives_the_connection",
]


def test_each_setting_is_described(ims_target: Target) -> None:
    """1. open gets settings that the class's own settings() model has validated."""
    model = type(ims_target.provider).settings()
    nameless = [name for name, field in model.model_fields.items() if not field.description]
    assert not nameless, f"settings without a description: {nameless}"


def test_closing_twice_is_harmless(ims_target: Target) -> None:
    """1. close is called at the end, also after errors."""
    if ims_target.settings is None:
        pytest.skip("settings: the target cannot be opened once more")
    second = type(ims_target.provider).open(ims_target.settings)
    second.close()
    second.close()
    ims_target.provider.inspect()


def test_what_is_made_outlives_the_connection(ims_target: Target, ims_bench: Bench) -> None:
    """18. A provider never keeps state outside its hypervisor and its instance."""
    if ims_target.settings is None:
        pytest.skip("settings: the target cannot be opened once more")
    order = ims_bench.created()
    with type(ims_target.provider).open(ims_target.settings) as second:
        assert second.identity == ims_target.provider.identity
        (vm,) = second.inspect([order.uuid])
        assert vm.mark == order.mark
        second.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid)


def test_check_makes_nothing_and_says_how_to_mend(ims_target: Target) -> None:
    """18. A provider keeps to its conduct: check makes nothing, and each finding has a fix."""
    before = everything(ims_target)
    for finding in ims_target.provider.check():
        assert finding.subject
        assert finding.message
        assert finding.ok or finding.fix, f"{finding.subject}: no fix for {finding.message!r}"
    assert everything(ims_target) == before


def test_hosts_have_a_capacity(ims_target: Target) -> None:
    """15. A number the hypervisor cannot give is None, and one it gives is plausible."""
    for host in ims_target.provider.hosts():
        assert host.name
        assert host.cpus > 0
        assert host.memory > 0
        assert host.memory_free is None or 0 <= host.memory_free <= host.memory


def test_features_are_within_what_is_known(ims_target: Target) -> None:
    """19. A feature is there exactly when it is declared: the declaration can be used."""
    provider = ims_target.provider
    assert provider.name
    assert provider.features.carriers, "no carrier: no guest can be told anything"
    for carrier, limits in provider.features.carriers.items():
        assert carrier in Carrier
        assert limits.max_bytes > 0
    assert ims_target.template.format in provider.features.template_formats
