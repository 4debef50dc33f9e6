"""What the dom0 and its guests print, read back: nothing of it may raise, or be taken for more."""

from __future__ import annotations

import base64
import contextlib
import json
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.errors import HypervisorError
from ims_core.models import Interface, State
from ims_dom0.counters import disks_in
from ims_dom0.dom0 import Dom0
from ims_dom0.marks import mark_of
from ims_dom0.networks import Bridges
from ims_dom0.xenstore import stored_in
from ims_shell.archive import WHOLE, pack, unpack
from ims_shell.local import LocalShell
from ims_shell.shell import Answer
from ims_xen.domains import domains_of, state_of
from ims_xen.xenstore import rackspace_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

UUID = "12345678-1234-1234-1234-123456789abc"
RECEIPT = b"IMS-RECEIPT 1\ndigest sha256:" + b"0" * 64 + b"\nnonce n1\nend\n"
quick = settings(max_examples=60, deadline=None, database=None)
LINES = st.lists(
    st.lists(
        st.sampled_from(
            [
                *("xenbr0", "inet", "inet6", "default", "via", "dev", "192.0.2.1/24", "4:", "x"),
                *("300.1.1.1/99", "::1/200", "fe80::1%eth0", "NAME", "VBD_RSECT", "no", "limit"),
                *(UUID, "-b----", "9" * 5000, "1.2.3", "²", "0", '"', "\\", "/local/domain/1/data"),
            ]
        ),
        max_size=9,
    ).map(" ".join),
    max_size=5,
).map("\n".join)


@pytest.mark.parametrize("flags", list(product((True, False), repeat=6)))
def test_each_combination_of_letters_is_one_state(flags: Sequence[bool]) -> None:
    letters = "".join(letter if on else "-" for letter, on in zip("rbpscd", flags, strict=True))
    _, _, paused, shut, crashed, dying = flags
    expected = State.RUNNING
    for on, state in (
        (paused, State.PAUSED),
        (shut, State.STOPPING),
        (crashed, State.CRASHED),
        (dying, State.STOPPING),
    ):
        expected = state if on else expected
    assert state_of(letters) is expected


@pytest.mark.parametrize("letters", ["", "r", "------r", "x-----", "R-----", "-b---é"])
def test_letters_that_nobody_knows_are_no_guess(letters: str) -> None:
    assert state_of(letters) is State.UNKNOWN


def test_a_name_may_hold_spaces_and_look_like_columns() -> None:
    name = "my 5 old vm"
    (found,) = domains_of(f"{name}   7   64  2     -b----   1.5 {UUID}  -  -")
    assert (found.name, found.domid, found.vcpus, found.seconds) == (name, 7, 2, 1.5)


@quick
@given(st.one_of(st.text(), LINES))
def test_no_text_of_a_dom0_raises(text: str) -> None:
    domains_of(text)
    state_of(text)
    disks_in(text)
    stored = stored_in(text)
    stored.receipt()
    stored.addresses(1)
    Bridges.of("xenbr0", text, text).complete(
        Interface("xenbr0", addresses=("192.0.2.9/24", "2001:db8::9/64")), "xenbr0"
    )


@quick
@given(st.binary(max_size=200))
def test_a_mark_that_is_none_is_none(content: bytes) -> None:
    assert mark_of(content, "web") is None


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 5000, "[]", '{"name": "other"}', '"web"'])
def test_a_mark_that_is_hostile_or_copied_is_none(content: str) -> None:
    assert mark_of(content.encode(), "web") is None


HEADING = "NAME STATE CPU(sec) MEM(k) MAXMEM(k) VBD_RSECT VBD_WSECT SSID"


def test_disk_counters_belong_to_whole_names() -> None:
    text = f"{HEADING}\n  my vm --b--- 1 2 3 10 20 0\nDomain-0 -----r 1 2 no limit 30 40 0\n"
    assert disks_in(text) == {"my vm": (5120, 10240), "Domain-0": (15360, 20480)}


@pytest.mark.parametrize("text", ["", "NAME STATE", f"{HEADING}\nweb --b--- 1 2 3 n/a n/a 0"])
def test_counters_that_are_missing_are_not_invented(text: str) -> None:
    assert disks_in(text) == {}


def guest(**values: str) -> str:
    return "\n".join(
        f'/local/domain/7/data/ims/receipt/{key} = "{value}"   ' for key, value in values.items()
    )


def test_a_receipt_in_chunks_is_read() -> None:
    text = base64.b64encode(RECEIPT).decode()
    chunks = {"chunk/0000": text[:40], "chunk/0001": text[40:]}
    receipt = stored_in(guest(format="1", chunks="2", **chunks)).receipt(7)
    assert receipt is not None
    assert receipt.nonce == "n1"
    assert stored_in(guest(format="1", chunks="2", **chunks)).receipt(8) is None


@pytest.mark.parametrize("count", ["9" * 400, "-1", "²", "1e9", ""])
def test_a_hostile_count_of_chunks_is_no_receipt(count: str) -> None:
    assert stored_in(guest(format="1", chunks=count)).receipt(7) is None


def test_a_card_has_one_gateway_of_each_kind() -> None:
    routes = "\n".join(f"default via 192.0.2.{last} dev xenbr0 metric 1" for last in (1, 2))
    bridges = Bridges.of("xenbr0", "4: xenbr0 inet 192.0.2.3/24 x", routes)
    card = bridges.complete(Interface(addresses=("192.0.2.9",)), "xenbr0")
    assert (card.addresses, card.gateways) == (("192.0.2.9/24",), ("192.0.2.1",))


def test_rackspace_keys_hold_both_kinds_of_addresses() -> None:
    card = Interface(
        "xenbr0",
        "00:16:3e:aa:bb:cc",
        ("192.0.2.9/24", "192.0.2.10/24", "2001:db8::9/64"),
        ("192.0.2.1", "2001:db8::1"),
    )
    keys = rackspace_keys("web", (card, Interface("xenbr0", "00:16:3e:00:00:02")))
    assert set(keys) == {"hostname", "networking/00163EAABBCC"}
    told = json.loads(keys["networking/00163EAABBCC"])
    assert [each["ip"] for each in told["ips"]] == ["192.0.2.9", "192.0.2.10"]
    assert (told["ips"][0]["netmask"], told["broadcast"]) == ("255.255.255.0", "192.0.2.255")
    assert (told["gateway"], told["gateway_v6"]) == ("192.0.2.1", "2001:db8::1")
    assert (told["ip6s"][0]["ip"], told["ip6s"][0]["netmask"]) == ("2001:db8::9", "64")


def test_an_archive_that_is_cut_anywhere_is_refused_or_shorter() -> None:
    archive = pack({"a": b"x" * 600, "b": b"y"})
    for size in range(len(archive)):
        try:
            found = unpack(archive[:size])
        except HypervisorError:
            continue
        assert found.items() <= {"a": b"x" * 600, "b": b"y", WHOLE: b""}.items()
        assert WHOLE not in found or len(found) == 3


@quick
@given(st.binary(max_size=1024), st.integers(0, 2000))
def test_a_damaged_archive_is_refused(noise: bytes, place: int) -> None:
    archive = pack({"a": b"x" * 600})
    with contextlib.suppress(HypervisorError):
        unpack(archive[:place] + noise + archive[place + len(noise) :])


@pytest.mark.parametrize("word", sorted(Dom0.WORDS))
def test_each_refusal_is_its_own_error(word: str) -> None:
    dom0 = Dom0(LocalShell(), "/", str)
    with pytest.raises(Dom0.WORDS[word][0]) as caught:
        dom0._output(Answer(65, b"", f"noise\nims-refusal {word} so it is\n"), "VM web")
    assert caught.value.message == "VM web: so it is"
    with pytest.raises(HypervisorError):  # only a script that refuses can say so
        dom0._output(Answer(66, b"", f"ims-refusal {word} so it is\n"), "VM web")
