"""Deliveries of values, which nobody else may see, and what VBoxManage is told."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import ConflictError
from ims_core.models import Carrier, Delivery, Interface, Mark, Template, VMSpec
from ims_virtualbox import host as hosts
from ims_virtualbox.vboxmanage import commands
from tests.virtualbox.pretended import (
    MAC,
    OPERATION,
    UUIDS,
    Machine,
    PretendedHost,
    Undo,
    running,
    settings_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


A, B = UUIDS[:2]

SPEC = VMSpec(
    *("web", A),
    Template("tiny", "vdi", "sha256:" + "0" * 64, 1 << 20, 1 << 20),
    memory=512 << 20,
    vcpus=1,
    disk=1 << 20,
    interfaces=(Interface("nat", MAC),),
)
MARK = Mark("store", OPERATION, A, nonce="n0")
VALUE = "c2VjcmV0"
TOLD = Delivery(
    *("bootparams", Carrier.GUEST_PROPERTIES, "sha256:" + "1" * 64, "n1"),
    values={"format": "1", "chunks": "1", "chunk/0000": VALUE, "nonce": "n1"},
)


def told_before(*keys: str) -> PretendedHost:
    items = "".join(
        f'<GuestProperty name="/IMS/Context/{key}" value="x" timestamp="1" flags="RDONLYGUEST"/>'
        for key in keys
    )
    content = settings_file(
        *(A, "web"),
        hardware=f"<GuestProperties>{items}</GuestProperties>",
        extra={"IMS/mark": json.dumps(asdict(MARK))},
    )
    return PretendedHost(running(content=content))


def test_values_are_in_no_argument_that_others_can_see() -> None:
    made, told = PretendedHost(), told_before("nonce")
    made.provider().create(SPEC, TOLD, MARK, Undo())
    told.provider().update_context(A, TOLD)
    for host in (made, told):
        assert VALUE in host.secret.decode()
        assert VALUE not in str(host.asked)
    assert VALUE not in made.provider().plan(SPEC, TOLD, MARK)


def test_a_guest_never_reads_half_of_two_deliveries() -> None:
    host = told_before("format", "chunks", "chunk/0000", "chunk/0001", "nonce")
    host.provider().update_context(A, TOLD)
    unset = [each[3] for each in host.asked if each[:2] == ("guestproperty", "unset")]
    assert unset[0] == "/IMS/Context/nonce", "without it there is nothing to read"
    assert set(unset) == {"/IMS/Context/nonce", "/IMS/Context/chunk/0001"}
    assert "/IMS/Context/nonce n1" in host.secret.decode().splitlines()[-1]
    done = [each for each in host.ran if each in ("secretly", "vboxmanage")]
    assert done[-2:] == ["secretly", "vboxmanage"]
    mark = json.loads(host.asked[-1][-1])
    assert (mark["nonce"], mark["digest"]) == ("n1", TOLD.digest)


def test_a_delivery_that_is_in_place_is_not_made_again_at_a_start() -> None:
    host = told_before("nonce")
    host.machines[0].states[0] = "poweroff"
    host.provider().start(A, replace(TOLD, nonce="n0"))
    assert host.secret == b""


@given(st.dictionaries(st.sampled_from(["a", "b", "nonce"]), st.text(st.characters(
    exclude_categories=["Cs"], exclude_characters="\n\0"))))  # fmt: skip
def test_values_reach_virtualbox_as_they_are(values: dict[str, str]) -> None:
    host = told_before()
    host.provider().update_context(A, replace(TOLD, values=values))
    # What VBoxManage reads from a file is quoted as a shell's words are.
    script = 'while IFS= read -r line; do eval "set -- $line"; printf "%s\\0" "$@"; done'
    done = subprocess.run(["sh", "-c", script], input=host.secret, capture_output=True, check=True)
    expected = [
        word for key, value in values.items()
        for word in commands.set_property(A, f"/IMS/Context/{key}", value)
    ]  # fmt: skip
    assert done.stdout.decode().split("\0")[:-1] == expected


def test_what_is_made_is_announced_under_the_operation_first() -> None:
    host, undo = PretendedHost(), Undo()
    host.provider().create(SPEC, TOLD, MARK, undo)
    assert undo.announced == [("vm-folder", f"web-{OPERATION}"), ("vm", A)]


def test_whoever_comes_second_with_a_name_withdraws_and_leaves_the_first() -> None:
    host = PretendedHost(Machine(uuid=B, name="web"))
    with pytest.raises(ConflictError) as caught:
        host.provider().create(SPEC, TOLD, MARK, Undo())
    assert caught.value.code == "vm-exists"
    assert not [each for each in host.asked if B in each]
    assert "createmedium" not in [each[0] for each in host.asked]


@pytest.mark.parametrize("seconds", [0.1])
def test_a_making_that_stays_locked_ends(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "LOCK_SECONDS", seconds)
    assert seconds == hosts.LOCK_SECONDS


CARDS: Sequence[tuple[str, tuple[str, ...]]] = [
    ("nat", ()),
    ("bridged:en0: Wi-Fi", ("--bridgeadapter1", "en0: Wi-Fi")),
    ("hostonly:vboxnet0", ("--hostonlyadapter1", "vboxnet0")),
    ("hostonlynet:HostNetwork", ("--host-only-net1", "HostNetwork")),
    ("natnetwork:NatNetwork", ("--nat-network1", "NatNetwork")),
    ("intnet:inside", ("--intnet1", "inside")),
]


@pytest.mark.parametrize(("network", "words"), CARDS, ids=[each for each, _ in CARDS])
def test_each_kind_of_network_has_its_own_option(network: str, words: tuple[str, ...]) -> None:
    made = commands.cards(A, [Interface(network, MAC)], "10.0.2.0/24", None)
    assert made[made.index("--nic1") + 1] == network.partition(":")[0]
    assert made[made.index("--macaddress1") + 1] == MAC.replace(":", "")
    assert made[-len(words) :] == words or not words
    assert "--natpf1" not in made
