"""The virtualbox provider passes the suite that every provider must, with a real VBoxManage.

In the quick lab no VM starts; ``test_conformance.py`` is the same where they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_shell.ssh import SshShell
from ims_virtualbox import VirtualBoxProvider
from tests.counting import counted
from tests.virtualbox.conftest import (
    broken_by_hand,
    copied_by_hand,
    leftovers,
    made_by_hand,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.labs.machine import Machine


@pytest.fixture
def ims_target(
    virtualbox_chroot: Machine,
    chroot_template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Target]:
    settings = VirtualBoxProvider.settings()(**settings_of(virtualbox_chroot)).model_dump()

    requests = counted(monkeypatch, ["run"], SshShell)
    version = virtualbox_chroot.run("VBoxManage -q --version").splitlines()[-1]
    with VirtualBoxProvider.open(settings) as provider:
        template = provider.find_template(chroot_template)
        assert template is not None
        yield Target(
            provider=provider,
            template=template,
            settings=settings,
            unreachable=settings | {"port": 1},
            static_address="10.0.2.77",
            expect_start=False,
            lab=f"VirtualBox {version} in a chroot, where no VM starts",
            requests=lambda: len(requests),
            make_foreign=lambda name: made_by_hand(virtualbox_chroot, name),
            break_vm=lambda uuid: broken_by_hand(virtualbox_chroot, uuid),
            copy_vm=lambda uuid: copied_by_hand(virtualbox_chroot, uuid),
            leftovers=lambda: leftovers(virtualbox_chroot),
        )
