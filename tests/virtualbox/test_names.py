"""Names of what is made on a VirtualBox host, and whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.models import Carrier, Delivery
from ims_virtualbox.names import Folder, seed_name
from tests.virtualbox.pretended import (
    OPERATION,
    POOL,
)

NAME = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(NAME, st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_a_folder_is_found_again_around_the_settings_in_it(name: str, operation: str) -> None:
    folder = Folder.of(POOL, name, operation)
    path = f"{folder.machine_parent}/{name}/{name}.vbox"
    assert Folder.around(POOL, path) == folder
    assert folder.operation == operation
    assert Folder.around("/other", path) is None
    assert Folder.around(POOL, f"/x{path}") is None
    assert folder.seed_in(folder.path("seed-1a.iso")) == "seed-1a.iso"


PATHS = [
    *(f"{POOL}/vms/x-{OPERATION}/../x.vbox", f"{POOL}/vms/x-{OPERATION}/x.vbox", f"{POOL}/vms/"),
    *(f"{POOL}/vms/./x-{OPERATION}/x.vbox", f"{POOL}/vms/x-{OPERATION}/x/y/x.vbox", "", "/"),
    *(f"{POOL}/vms/x/x/x.vbox", f"{POOL}/vms/x-{OPERATION}//x.vbox", f"{POOL}/vms/../x/x.vbox"),
]


@pytest.mark.parametrize("path", PATHS)
def test_settings_elsewhere_are_in_no_folder_of_ours(path: str) -> None:
    assert Folder.around(POOL, path) is None


@pytest.mark.parametrize(
    "path",
    ["seed-1.iso", "../seed-1.iso", "x/seed-1.iso", "seed-.iso", "seed-1.iso.bak", "root.vdi", ""],
)
def test_only_our_media_in_the_folder_are_ours(path: str) -> None:
    folder = Folder.of(POOL, "web", OPERATION)
    assert (folder.seed_in(folder.path(path)) != "") is (path == "seed-1.iso")
    assert folder.seed_in(path) == ""


@given(st.text())
def test_a_medium_s_name_is_ours_whatever_the_nonce(nonce: str) -> None:
    name = seed_name(Delivery("nocloud", Carrier.ISO, "", nonce))
    folder = Folder.of(POOL, "web", OPERATION)
    assert folder.seed_in(folder.path(name)) == name
