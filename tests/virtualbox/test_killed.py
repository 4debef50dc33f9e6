"""IMS is killed at every round trip to the host; after recovery nothing is left, or all of it.

The number of round trips is counted first, so that a new one is covered by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.virtualbox.killing import MOMENTS, Verb, killed_at, recovered, round_trips

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.virtualbox.conftest import Lab

BASE, NEW = "kill-base", "kill-new"


def nothing(_lab: Lab) -> None:
    """Nothing is needed."""


def with_base(lab: Lab) -> None:
    if BASE not in names(lab):
        lab.ims.create_vm(BASE, memory=64 << 20, wait="defined")


def vm_gone(lab: Lab) -> None:
    for vm in lab.ims.list_vms():
        assert vm.problem == ""
        if vm.name == NEW:
            lab.ims.delete_vm(NEW)


def base_gone(lab: Lab) -> None:
    for vm in lab.ims.list_vms():
        assert (vm.name, vm.problem) == (BASE, "")
        lab.ims.delete_vm(BASE)


def snapshot_gone(lab: Lab) -> None:
    (vm,) = lab.ims.list_vms()
    assert vm.problem == ""
    for each in lab.ims.list_snapshots(BASE):
        assert each.name == NEW
        lab.ims.delete_snapshot(BASE, NEW)


def template_gone(lab: Lab) -> None:
    if NEW in [each.name for each in lab.ims.list_templates()]:
        lab.ims.delete_template(NEW)


def names(lab: Lab) -> list[str]:
    return [vm.name for vm in lab.ims.list_vms()]


@pytest.fixture
def verb(request: pytest.FixtureRequest, tmp_path: Path) -> Verb:
    image = tmp_path / "image.raw"
    image.write_bytes(b"\x55" * (1 << 20))
    defined = ("--memory", "64M", "--wait", "defined")
    importing = ("import-template", str(image), "--name", NEW, "--layout", "bootparams")
    return {
        "create-vm": Verb(("create-vm", NEW, *defined), nothing, vm_gone),
        "clone-vm": Verb(("clone-vm", BASE, NEW, "--wait", "defined"), with_base, vm_gone),
        "snapshot-vm": Verb(("snapshot-vm", BASE, "--name", NEW), with_base, snapshot_gone),
        "import-template": Verb(importing, nothing, template_gone),
        "delete-vm": Verb(("delete-vm", BASE), with_base, base_gone),
    }[request.param]


VERBS = ("create-vm", "clone-vm", "snapshot-vm", "import-template", "delete-vm")
# What all of them take is in make test-full.
FAST = (("create-vm", "at-work"), ("delete-vm", "at-work"))


def three(count: int) -> list[int]:
    return sorted({1, count // 2 + 1, count})


def every(count: int) -> list[int]:
    return list(range(1, count + 1))


CASES = [
    *(pytest.param(*case, three, id="-".join(case)) for case in FAST),
    *(
        pytest.param(name, moment, every, id=f"{name}-{moment}-every", marks=pytest.mark.full)
        for name in VERBS
        for moment in MOMENTS
    ),
]


@pytest.mark.parametrize(("verb", "moment", "points"), CASES, indirect=["verb"])
def test_an_ims_that_is_killed_leaves_what_can_be_ended(
    chroot: Lab,
    verb: Verb,
    moment: str,
    points: Callable[[int], list[int]],
    say: Callable[[str], None],
) -> None:
    lab = chroot
    verb.begin(lab)
    count = round_trips(verb, lab.config.parent)
    verb.end(lab)
    before = lab.leftovers()
    for point in points(count):
        verb.begin(lab)
        flag = killed_at(lab, verb, point, moment)
        recovered(lab, flag)
        verb.end(lab)
        lab.is_as(before, f"killed {moment} round trip {point} of {count}")
    # The same once more; that it goes well to any point, each next one has shown.
    verb.begin(lab)
    again = lab.cli(*verb.arguments, "--quiet")
    assert again.returncode == 0, again.stderr
    verb.end(lab)
    say(f"virtualbox: {verb.arguments[0]} killed {moment} {len(points(count))} of {count} points")
