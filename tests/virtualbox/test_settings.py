"""Settings of a virtualbox pool."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ims_virtualbox import VirtualBoxProvider

BAD: dict[str, list[object]] = {
    "directory": ["relative", "/", "/a b", "/a/../b", "/a/.", "~x", "~/..", "/a/", "/a\n", "$HOME"],
    "clone": ["copy", "", 1],
    "network": ["", "NAT", "bridged", "bridged:", "nat:x", "intnet:a\nb", "intnet:" + "x" * 65],
    "nat_subnet": ["10.0.2.0", "10.0.2.5/24", "10.0.2.0/29", "::/64", "x", "0.0.0.0/0"],
    "ssh_ports": ["2200", "2999-2200", "0-9", "2200-70000", "a-b", "2200-2999,22", "-"],
    "os_type": ["", "Linux 26", "x" * 41, "--help"],
}
BAD_VALUES = [(word, value) for word, values in BAD.items() for value in values]


@pytest.mark.parametrize(("word", "value"), BAD_VALUES, ids=[f"{a}={b!r}" for a, b in BAD_VALUES])
def test_a_bad_setting_is_refused_by_its_name(word: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        VirtualBoxProvider.settings()(**{word: value})
    (error,) = caught.value.errors()
    assert error["loc"] == (word,) or word in error["msg"]


GOOD = [
    *(("directory", "~"), ("directory", "~/.local/x"), ("directory", "/srv/..x/a.b")),
    *(("network", "intnet:x"), ("network", "bridged:en0: Wi-Fi (Wireless)"), ("ssh_ports", "1-1")),
    *(("nat_subnet", "10.0.0.0/8"), ("nat_subnet", "192.168.7.16/28"), ("clone", "full")),
]


@pytest.mark.parametrize(("word", "value"), GOOD, ids=[f"{a}={b}" for a, b in GOOD])
def test_a_good_setting_is_taken_as_it_is(word: str, value: str) -> None:
    settings = VirtualBoxProvider.settings()(**{word: value}).model_dump()
    assert settings[word] == value
