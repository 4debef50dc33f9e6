"""What ``import ims_core`` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import ims_core


def test_every_public_name_can_be_imported_and_knows_its_module() -> None:
    for name in ims_core.__all__:
        assert getattr(ims_core, name) is not None
    assert sorted(ims_core.__all__, key=str.casefold) == sorted(dir(ims_core), key=str.casefold)


def test_the_lazy_table_and_the_public_names_agree() -> None:
    assert {*ims_core._HOME_OF, "__version__"} == set(ims_core.__all__)
    for name, module in ims_core._HOME_OF.items():
        assert name in import_module(module).__all__


def test_importing_the_spi_loads_neither_service_nor_libraries() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, ims_core.spi; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"ims_core.service", "pydantic", "stevedore", "libvirt", "sqlite3", "click", "pycdlib"}
    assert not heavy & set(loaded)
