"""What a provider says about itself, its settings and its connection."""

from __future__ import annotations

import locale
import logging
import os
import signal
import socket
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import BusyError, UnavailableError
from ims_core.models import Carrier
from ims_core.testing.bench import changes, everything
from ims_core.testing.needs import left_out

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_hypervisor_that_is_not_there_is_unavailable",
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
    """1. open gets settings that the class's own settings() model has validated.

    Mend: give each field of the model that `settings()` returns a description:
    `Field(description="…")`.
    """
    model = type(ims_target.provider).settings()
    nameless = [name for name, field in model.model_fields.items() if not field.description]
    assert not nameless, f"settings without a description: {nameless}"


def test_closing_twice_is_harmless(ims_target: Target) -> None:
    """1. close is called at the end, also after errors.

    Mend: in `close`, return when the connection is closed already, and catch whatever the
    hypervisor's library raises there. Keep each connection in its own instance: closing one must
    not end another.
    """
    if ims_target.settings is None:
        left_out("settings")
    second = type(ims_target.provider).open(ims_target.settings)
    second.close()
    second.close()
    ims_target.provider.inspect()


def test_a_hypervisor_that_is_not_there_is_unavailable(ims_target: Target) -> None:
    """1. The service calls open for each pool in use, 3. and who does not answer is unavailable.

    Mend: in `open`, put a time limit on the connection, and raise `UnavailableError` for whatever
    the hypervisor's library raises there.
    """
    if ims_target.unreachable is None:
        left_out("unreachable")
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        type(ims_target.provider).open(ims_target.unreachable)
    took = time.monotonic() - began
    assert took < ims_target.patience, f"open took {took:.0f} s to say so"


def test_what_is_made_outlives_the_connection(ims_target: Target, ims_bench: Bench) -> None:
    """18. A provider never keeps state outside its hypervisor and its instance.

    Mend: write the mark into the hypervisor, and let `inspect` and `delete` find every part there:
    keep nothing about VMs in the instance or on this machine. Make `identity` of the hypervisor and
    the place in it, not of the connection.
    """
    if ims_target.settings is None:
        left_out("settings")
    order = ims_bench.created()
    with type(ims_target.provider).open(ims_target.settings) as second:
        assert second.identity == ims_target.provider.identity, (
            "identity differs between two connections"
        )
        found = second.inspect([order.uuid])
        assert [vm.mark for vm in found] == [order.mark], "another connection sees another mark"
        second.delete(order.uuid)
    assert not ims_bench.is_there(order.uuid), "inspect still shows the VM"


def test_check_makes_nothing_and_says_how_to_mend(ims_target: Target) -> None:
    """18. A provider keeps to its conduct: check makes nothing, and each finding has a fix.

    Mend: in `check`, only read. Give each `Finding` a `subject` and a `message`; where `ok` is
    False, put the command or the setting that mends it into `fix`.
    """
    before = everything(ims_target)
    for finding in ims_target.provider.check():
        assert finding.subject, f"a finding without a subject: {finding}"
        assert finding.message, f"a finding without a message: {finding}"
        assert finding.ok or finding.fix, f"{finding.subject}: no fix for {finding.message!r}"
    assert everything(ims_target) == before, changes(ims_target, before)


def test_hosts_have_a_capacity(ims_target: Target) -> None:
    """15. A number the hypervisor cannot give is None, and one it gives is plausible.

    Mend: in `hosts`, give each `Host` its name, its number of CPUs and its memory in bytes; give
    `memory_free` in bytes, or None. Return an empty sequence if the pool hides its hosts.
    """
    for host in ims_target.provider.hosts():
        assert host.name, f"a host without a name: {host}"
        assert host.cpus > 0, f"host {host.name} has {host.cpus} CPUs"
        assert host.memory > 0, f"host {host.name} has {host.memory} bytes of memory"
        assert host.memory_free is None or 0 <= host.memory_free <= host.memory, (
            f"host {host.name}: {host.memory_free} of {host.memory} bytes are free"
        )


def test_features_are_within_what_is_known(ims_target: Target) -> None:
    """19. A feature is there exactly when it is declared: the declaration can be used.

    Mend: set `name` to the name of the entry point. Give `features.carriers` at least one
    `Carrier`, each with a `max_bytes` above 0, and name the format of the target's template in
    `features.template_formats`.
    """
    provider = ims_target.provider
    assert provider.name, "the provider has no name"
    assert provider.features.carriers, "no carrier: no guest can be told anything"
    for carrier, limits in provider.features.carriers.items():
        assert carrier in Carrier, f"{carrier!r} is no carrier that IMS knows"
        assert limits.max_bytes > 0, f"carrier {carrier} holds {limits.max_bytes} bytes"
    assert ims_target.template.format in provider.features.template_formats, (
        f"the target's template is {ims_target.template.format}, which is not declared"
    )


def test_a_hypervisor_that_stops_answering_ends_no_call_late(
    ims_target: Target, ims_bench: Bench
) -> None:
    """3. Every call ends, even if the hypervisor stops answering: then UnavailableError.

    Mend: put a time limit on every request, on reading its answer and on waiting for a lock, and
    raise `UnavailableError` when it is over. Make it shorter than the target's `patience`. Let
    `write_mark` replace the mark by one request.
    """
    if ims_target.freeze is None:
        left_out("freeze")
    order = ims_bench.created()
    mark = replace(order.mark, owner="somebody")
    ended: Future[None] = Future()

    def write() -> None:
        try:
            ended.set_result(ims_target.provider.write_mark(order.uuid, mark))
        except Exception as error:  # noqa: BLE001 - judged below
            ended.set_exception(error)

    with ims_target.freeze():
        threading.Thread(target=write, daemon=True).start()  # one that never ends holds nobody up
        done, _ = wait([ended], timeout=ims_target.patience)
    assert done, f"write_mark did not end within {ims_target.patience:g} s"
    with pytest.raises((UnavailableError, BusyError)):
        ended.result()
    assert ims_bench.mark(order.uuid) in (order.mark, mark), "the mark is neither old nor new"


def test_settings_refuse_what_they_do_not_know(ims_target: Target) -> None:
    """1. The settings() model validates: a misspelt setting is refused, never ignored.

    Mend: give the model that `settings()` returns the line `model_config =
    ConfigDict(extra="forbid")`.
    """
    model = type(ims_target.provider).settings()
    given = dict(ims_target.settings or {}, ims_kit_no_such_setting="1")
    with pytest.raises(ValueError, match="ims_kit_no_such_setting"):
        model.model_validate(given)


def test_the_process_is_left_as_it_was(ims_target: Target, ims_bench: Bench) -> None:
    """18. A provider keeps no state outside its hypervisor and its instance.

    Mend: do not change the working directory, umask, environment, signal handlers, default socket
    timeout, locale or the root logger's level. Pass such values to the one call or child process
    that needs them; if a library changes them, put them back.
    """
    before = _process()
    order = ims_bench.created()
    ims_target.provider.inspect(evidence=True)
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, order.delivery)
    ims_target.provider.delete(order.uuid)
    assert _process() == before, (
        f"changed: {[key for key, value in _process().items() if value != before[key]]}"
    )


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
