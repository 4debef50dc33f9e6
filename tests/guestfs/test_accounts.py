"""The guest's accounts, however hostile the files that name them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ims_guestfs.guest import LARGEST_ID, parse_accounts

NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,31}", fullmatch=True).filter(lambda name: name != "root")


@given(known=st.dictionaries(NAMES, st.integers(0, LARGEST_ID)))
def test_names_come_back_with_their_numbers(known: dict[str, int]) -> None:
    passwd = "".join(f"{name}:x:{number}:5:A, B:/home:/bin/sh\n" for name, number in known.items())
    group = "".join(f"{name}:*:{number}:web,adm\n" for name, number in known.items())
    assert parse_accounts(passwd) == parse_accounts(group) == {**known, "root": 0}


@given(text=st.text(st.sampled_from("ab_:x10\n\r\u2028\udcff-+ ")))
def test_whatever_stands_there_gives_names_and_numbers_in_bounds(text: str) -> None:
    for name, number in parse_accounts(text).items():
        assert name.isascii()
        assert 0 <= number <= LARGEST_ID


def test_the_first_line_of_a_name_counts_and_root_is_always_root() -> None:
    text = "web:x:7:7:::\nweb:x:0:0:::\nroot:x:1000:1000:::\n+::::::\nbig:x:4294967295:1:::\n"
    assert parse_accounts(text) == {"root": 0, "web": 7}
