"""What a provider says about itself, its settings and its connection."""

from __future__ import annotations

import locale
import logging
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import BusyError, UnavailableError
from ims_core.models import Carrier
from ims_core.testing.bench import everything
from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_hypervisor_that_stops_answering_ends_no_call_late",
    "test_check_makes_nothing_and_says_how_to_mend",
    "test_closing_twice_is_harmless",
    "test_each_setting_is_described",
    "test_features_are_within_what_is_known",
    "test_hosts_have_a_capacity",
    "test_settings_refuse_what_they_do_not_know",
    "test_the_process_is_left_as_it_was",
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
        left_out("settings")
    second = type(ims_target.provider).open(ims_target.settings)
    second.close()
    second.close()
    ims_target.provider.inspect()


def test_what_is_made_outlives_the_connection(ims_target: Target, ims_bench: Bench) -> None:
    """18. A provider never keeps state outside its hypervisor and its instance."""
    if ims_target.settings is None:
        left_out("settings")
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


def test_a_hypervisor_that_stops_answering_ends_no_call_late(
    ims_target: Target, ims_bench: Bench
) -> None:
    """3. Every call ends, even if the hypervisor stops answering: then UnavailableError."""
    if ims_target.freeze is None:
        left_out("freeze")
    order = ims_bench.created()
    mark = replace(order.mark, owner="somebody")
    began = time.monotonic()
    with ims_target.freeze(), pytest.raises((UnavailableError, BusyError)):
        ims_target.provider.write_mark(order.uuid, mark)
    assert time.monotonic() - began < ims_target.patience, "it ended, but too late"
    assert ims_bench.mark(order.uuid) in (order.mark, mark), "the mark is neither old nor new"


def test_settings_refuse_what_they_do_not_know(ims_target: Target) -> None:
    """1. The settings() model validates: a misspelt setting is refused, never ignored."""
    model = type(ims_target.provider).settings()
    given = dict(ims_target.settings or {}, ims_kit_no_such_setting="1")
    with pytest.raises(ValueError, match="ims_kit_no_such_setting"):
        model.model_validate(given)


def test_the_process_is_left_as_it_was(ims_target: Target, ims_bench: Bench) -> None:
    """18. A provider keeps no state outside its hypervisor and its instance."""
    before = _process()
    order = ims_bench.created()
    ims_target.provider.inspect(evidence=True)
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, order.delivery)
    ims_target.provider.delete(order.uuid)
    assert _process() == before


def _process() -> dict[str, object]:
    """What belongs to the whole process, and so to its owner."""
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "working directory": Path.cwd(),
        "umask": umask,
        "environment": dict(os.environ),
        "signal handlers": {each: signal.getsignal(each) for each in signal.valid_signals()},
        "socket timeout": socket.getdefaulttimeout(),
        "locale": locale.setlocale(locale.LC_ALL),
        "log level": logging.getLogger().level,
    }
