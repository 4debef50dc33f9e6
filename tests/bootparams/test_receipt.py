from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_bootparams.receipt import MAX_ITEMS, RECEIPT_BYTES, parse_receipt
from ims_core.models import Address, ItemResult, Receipt

DIGEST = "sha256:" + "0a" * 32


def block(*lines: str, digest: str = DIGEST, nonce: str = "n-1") -> bytes:
    return "\n".join(
        ["IMS-RECEIPT 1", f"digest {digest}", f"nonce {nonce}", *lines, "end", ""]
    ).encode()


def test_a_whole_receipt_is_read() -> None:
    data = block(
        "item hostname ok",
        "item scripts.0 failed exit status 3",
        "item files.0 failed",
        "address 52:54:00:AB:cd:ef 192.0.2.10/24",
        "address 52:54:00:ab:cd:ef 2001:db8::1/64",
    )
    mac = "52:54:00:ab:cd:ef"
    assert parse_receipt(data) == Receipt(
        DIGEST,
        "n-1",
        (
            ItemResult("hostname", ok=True),
            ItemResult("scripts.0", ok=False, message="exit status 3"),
            ItemResult("files.0", ok=False),
        ),
        (Address("192.0.2.10/24", mac, "receipt"), Address("2001:db8::1/64", mac, "receipt")),
    )


def test_the_last_complete_block_counts() -> None:
    data = b"noise\n" + block(nonce="old") + b"\nnoise\n" + block(nonce="new")
    receipt = parse_receipt(data + b"IMS-RECEIPT 1\nnonce unfinished\n")
    assert receipt
    assert receipt.nonce == "new"


def test_a_block_that_is_begun_anew_counts_from_there() -> None:
    receipt = parse_receipt(b"IMS-RECEIPT 1\nnonce lost\n" + block())
    assert receipt == Receipt(DIGEST, "n-1")


def test_carriage_returns_of_a_terminal_do_no_harm() -> None:
    assert parse_receipt(block().replace(b"\n", b"\r\n")) == Receipt(DIGEST, "n-1")


def test_unknown_lines_are_ignored() -> None:
    assert parse_receipt(block("", "uptime 3", "\x00\x1b[2J")) == Receipt(DIGEST, "n-1")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"end\n",
        block()[:-5],
        b"x" + block(),
        block(digest="sha256:" + "0A" * 32),
        block(digest="sha256:" + "0a" * 31),
        block(digest="md5:" + "0a" * 16),
        block(nonce=""),
        block(nonce="a" * 65),
        block(nonce="a b"),
        block(nonce="\u0663"),
        block(f"digest {DIGEST}"),
        block("nonce n-2"),
        block("item x maybe"),
        block("item x"),
        block("item x failedly"),
        block(f"item {'x' * 65} ok"),
        block("item a/b ok"),
        block("address 52:54:00:ab:cd 192.0.2.1/24"),
        block("address 52:54:00:ab:cd:ef 192.0.2.1"),
        block("address 52:54:00:ab:cd:ef 192.0.2.256/24"),
        block("address 52:54:00:ab:cd:ef 192.0.2.1/33"),
        block("address 52:54:00:ab:cd:ef fe80::1%eth0/64"),
        block(*["item x ok"] * 1001),
        block(*["address 52:54:00:ab:cd:ef 192.0.2.1/24"] * 1001),
        block().replace(b"IMS-RECEIPT 1", b"IMS-RECEIPT 2"),
    ],
)
def test_a_malformed_block_counts_as_none(data: bytes) -> None:
    assert parse_receipt(data) is None


def test_a_malformed_block_does_not_hide_an_earlier_good_one() -> None:
    assert parse_receipt(block() + block(nonce="a b")) == Receipt(DIGEST, "n-1")


def test_a_thousand_items_are_read() -> None:
    receipt = parse_receipt(block(*["item x ok"] * 1000))
    assert receipt
    assert len(receipt.items) == 1000


def test_a_receipt_of_as_many_failures_and_addresses_as_may_be_fits() -> None:
    names = [*(f"interfaces.{index}" for index in range(MAX_ITEMS)), "bootparams", "resolver"]
    items = [f"item {name} failed {'x' * 200}" for name in names]
    address = "address 52:54:00:ab:cd:ef 2001:db8:1111:2222:3333:4444:5555:6666/128"
    data = block(*items, *[address] * 500)
    receipt = parse_receipt(b"earlier\n" * RECEIPT_BYTES + data)
    assert receipt
    assert [item.name for item in receipt.items] == names
    assert {len(item.message) for item in receipt.items} == {200}
    assert len(receipt.addresses) == 500


def test_only_the_last_256_kib_are_looked_at() -> None:
    assert RECEIPT_BYTES == 256 * 1024
    assert parse_receipt(block() + b"x" * RECEIPT_BYTES) is None
    assert parse_receipt(b"x\n" * 100_000 + block())


def test_a_message_cannot_steer_a_terminal_and_is_cut() -> None:
    receipt = parse_receipt(block("item x failed \x1b[31mred\x07\x9b \u202egnol " + "é" * 2000))
    assert receipt
    message = receipt.items[0].message
    assert message.startswith("[31mred gnol é")
    assert len(message) == 500


def test_bytes_that_are_not_utf_8_are_shown_as_such() -> None:
    receipt = parse_receipt(block("item x failed caf#").replace(b"#", b"\xe9"))
    assert receipt
    assert receipt.items[0].message == "caf\ufffd"


LINES = st.sampled_from(
    [
        b"IMS-RECEIPT 1", b"end", f"digest {DIGEST}".encode(), b"nonce n", b"item a ok",
        b"item a failed x", b"address 52:54:00:00:00:01 192.0.2.1/24", b"digest", b"item", b"",
    ]
) | st.binary(max_size=40)  # fmt: skip


@given(st.lists(LINES, max_size=30))
def test_no_bytes_make_it_raise(lines: list[bytes]) -> None:
    receipt = parse_receipt(b"\n".join(lines))
    if receipt:
        assert b"end" in lines
        assert all(item.message.isprintable() for item in receipt.items)
