"""The virtualbox provider passes the suite that every provider must, with a real VBoxManage.

In the quick lab no VM starts; ``test_conformance.py`` is the same where they do.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from ims_core.testing import Target
from ims_core.testing.suite import *  # noqa: F403 - the suite's one import line
from ims_virtualbox import VirtualBoxProvider
from tests.virtualbox.conftest import DIRECTORY, leftovers, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.labs.machine import Machine


pytestmark = pytest.mark.virtualbox_chroot


@pytest.fixture
def ims_target(
    virtualbox_chroot: Machine, chroot_template: str, tmp_path: Path
) -> Iterator[Target]:
    settings = VirtualBoxProvider.settings()(**settings_of(virtualbox_chroot)).model_dump()
    host = virtualbox_chroot

    def make_foreign(name: str) -> Callable[[], object]:
        host.run(f"VBoxManage -q createvm --name {shlex.quote(name)} --register")
        # The suite may have had it deleted by then.
        return lambda: host.run(f"VBoxManage -q unregistervm {name} --delete 2>/dev/null || :")

    def break_vm(uuid: str) -> Callable[[], object]:
        vms = f"{DIRECTORY}/vms"
        host.run(f"cd {vms} && rm $(grep -l {uuid} */*/*.vbox | cut -d / -f 1)/root.vdi")
        return lambda: None

    with VirtualBoxProvider.open(settings) as provider:
        template = provider.find_template(chroot_template)
        assert template is not None
        yield Target(
            provider=provider,
            template=template,
            image=None,
            settings=settings,
            static_address="10.0.2.77",
            expect_start=False,
            make_foreign=make_foreign,
            break_vm=break_vm,
            leftovers=lambda: leftovers(host),
        )
