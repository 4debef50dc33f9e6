"""Optional features: declared ones work, others raise the one UnsupportedError."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, UnsupportedError
from ims_core.spi import OPTIONAL, Console, ConsoleLog, require
from ims_core.testing.needs import declared

if TYPE_CHECKING:
    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_console_is_for_one_at_a_time_and_the_guest_hears",
    "test_a_console_is_refused_while_the_vm_is_off",
    "test_a_console_log_is_lines_without_control_characters",
    "test_a_feature_is_there_exactly_when_its_protocol_is",
]


@pytest.mark.parametrize("feature", sorted(OPTIONAL))
def test_a_feature_is_there_exactly_when_its_protocol_is(ims_target: Target, feature: str) -> None:
    """19. A feature is there exactly when its protocol is; else calling it is UnsupportedError.

    Mend: implement every method of the feature's protocol in `ims_core.spi`, or none: add the
    methods that are missing, or remove or rename those that are there.
    """
    provider, protocol = ims_target.provider, OPTIONAL[feature]
    methods = [name for name in vars(protocol) if not name.startswith("_")]
    if isinstance(provider, protocol):
        assert require(provider, protocol) is provider, f"feature {feature} cannot be had"
        return
    with pytest.raises(UnsupportedError) as caught:
        require(provider, protocol)
    assert feature in str(caught.value), f"the error does not name the feature: {caught.value}"
    assert provider.name in caught.value.hint, (
        f"the hint does not name the provider: {caught.value.hint}"
    )
    half = [name for name in methods if hasattr(provider, name)]
    assert not half, f"feature {feature} is half there: {half} of {methods}"


def test_a_console_log_is_lines_without_control_characters(
    ims_target: Target, ims_bench: Bench
) -> None:
    """19. What is declared works: the console's last lines, at most as many as asked for.

    Mend: in `console_tail`, return the last `lines` lines as a tuple, and `()` if `lines` is 0 or
    nothing was printed yet. Remove each character that is not `isprintable()`, escape sequences
    included.
    """
    kept = declared(ims_target, ConsoleLog)
    order = ims_bench.created()
    assert kept.console_tail(order.uuid, 5) == (), "nothing was printed yet"
    if ims_target.expect_start:
        ims_target.provider.start(order.uuid, order.delivery)
        if ims_target.boots:
            ims_bench.answered(order, order.delivery.nonce)
            # It may answer before it prints its first line.
            ims_bench.eventually(
                "a guest prints something", lambda: kept.console_tail(order.uuid, 40)
            )
        for lines in (40, 1, 0):
            tail = kept.console_tail(order.uuid, lines)
            assert len(tail) <= lines, f"{len(tail)} lines came, {lines} were asked for"
            assert all(character.isprintable() for line in tail for character in line), (
                f"control characters: {tail}"
            )


def test_a_console_is_refused_while_the_vm_is_off(ims_target: Target, ims_bench: Bench) -> None:
    """19. NotImplementedError is never an answer: a console of a VM that is off is a conflict.

    Mend: in `open_console`, look at the VM's state first, and raise `ConflictError` if it does not
    run.
    """
    provider = declared(ims_target, Console)
    order = ims_bench.created()
    with pytest.raises(ConflictError):
        provider.open_console(order.uuid)


def test_a_console_is_for_one_at_a_time_and_the_guest_hears(
    ims_target: Target, ims_bench: Bench
) -> None:
    """19. What is declared works: a console takes what is typed, from one at a time.

    Mend: in `open_console`, raise `ConflictError` while somebody is attached. In the stream, let
    `write` reach the guest, let `read` return what it shows, and let `close` free the console and
    do nothing the second time.
    """
    provider = declared(ims_target, Console)
    order = ims_bench.started()
    with closing(provider.open_console(order.uuid)) as stream:
        with pytest.raises(ConflictError):
            provider.open_console(order.uuid)
        if ims_target.boots:
            ims_bench.answered(order, order.delivery.nonce)
            stream.write(b"\n")
            ims_bench.eventually("the guest shows something", lambda: stream.read(1.0))
    stream.close()
    provider.open_console(order.uuid).close()
