"""What is asked of the Manager, and what is put right of what it made."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ims_bootparams.layouts.bootparams import CONF_FILE
from ims_core.errors import HypervisorError, InvalidError, UnsupportedError
from ims_core.models import Interface, State
from ims_core.undo import Undo
from ims_dom0.vmcfg import parse
from tests.labs.ovm.server import serving
from tests.ovm.provided import (
    OPERATION,
    PretendedOvm,
    archive_of,
    delivery_of,
    imported,
    mark_of,
    spec_of,
)
from tests.xen.pretended import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_core.models import Template, VMSpec
    from ims_dom0.vmcfg import Value
    from ims_ovm import OvmProvider
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import PretendedDom0

MAC = "00:16:3E:00:00:01"
CONF = b"IMS_FORMAT='1'\nIMS_HOSTNAME='web'\n"


@pytest.fixture
def ovm(dom0: PretendedDom0, manager: Manager) -> Iterator[PretendedOvm]:
    with serving(manager) as url:
        yield PretendedOvm(dom0, manager, url)


@pytest.fixture
def template(ovm: PretendedOvm, tmp_path: Path) -> Template:
    return imported(ovm.provider(), archive_of(tmp_path / "archive"), "jeos")


def created(provider: OvmProvider, spec: VMSpec, conf: bytes = b"x") -> Undo:
    undo = Undo(OPERATION)
    provider.create(spec, delivery_of(bootparams_conf=conf), mark_of(spec), undo)
    return undo


def config_of(ovm: PretendedOvm, name: str = "web") -> dict[str, Value]:
    (path,) = ovm.dom0.ovs.glob(f"running_pool/*_{name}/vm.cfg")
    return parse(path.read_text())


def other_macs(ovm: PretendedOvm) -> None:
    """Have the Manager choose MACs of its own, as real ones may."""

    def choose() -> None:
        for path in ovm.dom0.ovs.glob("running_pool/*/vm.cfg"):
            path.write_text(
                re.sub("mac=[0-9A-Fa-f:]{17}", "mac=00:16:3E:AA:BB:CC", path.read_text())
            )

    ovm.manager.hooks.at("done", "createVmBasedOnTemplate", choose)


def test_memory_cpus_and_disks_are_those_of_the_order(
    ovm: PretendedOvm, template: Template
) -> None:
    created(ovm.provider(), spec_of(template))
    config = config_of(ovm)
    assert (config["memory"], config["vcpus"]) == (96, 2)
    disks = [str(each) for each in config["disk"]]  # type: ignore[union-attr]
    assert len(disks) == 2
    assert all(f"file:{ovm.dom0.ovs}/running_pool/1_web/" in each for each in disks)


def test_what_else_the_manager_wrote_stays(ovm: PretendedOvm, template: Template) -> None:
    created(ovm.provider(), spec_of(template))
    config = config_of(ovm)
    assert config["bootloader"] == "/usr/bin/pygrub"
    assert config["OVM_SIMPLE_NAME"] == "web"
    assert "vncpasswd=" in str(config["vfb"])


def test_macs_that_the_manager_chose_are_put_right(ovm: PretendedOvm, template: Template) -> None:
    other_macs(ovm)
    created(ovm.provider(), spec_of(template))
    assert [str(each).split(",")[0] for each in config_of(ovm)["vif"]] == [f"mac={MAC}"]  # type: ignore[union-attr]


def test_macs_are_left_to_the_manager_where_a_site_wants_it(
    ovm: PretendedOvm, template: Template
) -> None:
    created(ovm.provider(rewrite_macs=False), spec_of(template))
    assert MAC in str(config_of(ovm)["vif"]), "it was told them"


def test_a_vm_whose_macs_may_not_be_put_right_is_given_up(
    ovm: PretendedOvm, template: Template
) -> None:
    provider = ovm.provider(rewrite_macs=False)
    before = ovm.leftovers()
    other_macs(ovm)
    spec, undo = spec_of(template), Undo(OPERATION)
    with pytest.raises(HypervisorError) as caught:
        provider.create(spec, delivery_of(), mark_of(spec), undo)
    assert caught.value.code == "other-macs"
    assert not undo.roll_back(provider, expired=lambda: False).all
    assert ovm.leftovers() == before


def test_a_second_card_is_like_the_first(ovm: PretendedOvm, template: Template) -> None:
    cards = (Interface("xenbr0", MAC.lower()), Interface("xenbr0", "00:16:3e:00:00:02"))
    created(ovm.provider(), spec_of(template, interfaces=cards))
    assert list(config_of(ovm)["vif"]) == [  # type: ignore[arg-type]
        f"mac={MAC},bridge=xenbr0,type=netfront",
        "mac=00:16:3E:00:00:02,bridge=xenbr0,type=netfront",
    ]


def test_the_managers_own_hook_is_told_the_values(ovm: PretendedOvm, template: Template) -> None:
    provider = ovm.provider(bootparams="manager")
    spec = spec_of(template)
    created(provider, spec, CONF)
    written = ovm.dom0.ovs / "running_pool/1_web" / CONF_FILE
    assert written.read_text().splitlines() == ["IMS_FORMAT=1", "IMS_HOSTNAME=web", "IMS_NONCE=11"]


def test_the_managers_own_hook_carries_no_files(ovm: PretendedOvm, template: Template) -> None:
    provider = ovm.provider(bootparams="manager")
    spec, undo = spec_of(template), Undo(OPERATION)
    delivery = delivery_of(bootparams_conf=CONF, script=b"#!/bin/sh\n")
    with pytest.raises(UnsupportedError, match="values only"):
        provider.create(spec, delivery, mark_of(spec), undo)
    assert undo.announced == []


def test_a_plan_is_the_request_without_the_consoles_password(
    ovm: PretendedOvm, template: Template
) -> None:
    spec = spec_of(template)
    plan = ovm.provider().plan(spec, delivery_of(), mark_of(spec))
    assert "createVmBasedOnTemplateElement" in plan
    assert ">web</" in plan
    assert re.search("consolePassword>…</", plan)


def test_a_host_or_another_size_of_the_disk_cannot_be_ordered(
    ovm: PretendedOvm, template: Template
) -> None:
    provider = ovm.provider()
    with pytest.raises(UnsupportedError, match="chooses the server"):
        provider.prepare(spec_of(template, host="dom0"))
    with pytest.raises(InvalidError, match="disk"):
        provider.prepare(spec_of(template, disk=template.virtual_size * 2))


def test_hosts_have_what_the_manager_says(ovm: PretendedOvm) -> None:
    (host,) = ovm.provider().hosts()
    assert host.name == "dom0"
    assert host.memory >= (host.memory_free or 0) > 0


def test_everything_is_well_in_a_pretended_dom0(ovm: PretendedOvm) -> None:
    findings = list(ovm.provider().check())
    assert [each.subject for each in findings if not each.ok] == []
    assert any("server pool" in each.subject for each in findings)


def test_a_vm_that_goes_off_before_the_manager_is_asked_is_stopped(
    ovm: PretendedOvm, template: Template
) -> None:
    provider, spec = ovm.provider(), spec_of(template)
    created(provider, spec)
    provider.start(spec.uuid, None)

    def first() -> None:
        ovm.manager.hooks.at("before", "shutdown", None)
        ovm.provider().stop(spec.uuid, force=True, timeout=20)

    ovm.manager.hooks.at("before", "shutdown", first)
    provider.stop(spec.uuid, force=False, timeout=20)
    assert [vm.state for vm in provider.inspect()] == [State.STOPPED]


def test_a_vm_whose_power_another_takes_at_that_moment_is_stopped(
    ovm: PretendedOvm, template: Template
) -> None:
    provider, spec = ovm.provider(), spec_of(template)
    created(provider, spec)
    provider.start(spec.uuid, None)
    ovm.manager.jobs.pace["powerOff"] = 1.0
    with ThreadPoolExecutor(1) as others:

        def first() -> None:
            ovm.manager.hooks.at("before", "shutdown", None)
            others.submit(ovm.provider().stop, spec.uuid, force=True, timeout=20)
            wait_for(lambda: [vm.state for vm in provider.inspect()] != [State.RUNNING])

        ovm.manager.hooks.at("before", "shutdown", first)
        provider.stop(spec.uuid, force=False, timeout=20)
    assert [vm.state for vm in provider.inspect()] == [State.STOPPED]
