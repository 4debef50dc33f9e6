"""The table of names: what is known of it, and what a site tells otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConfigError, HypervisorError
from ims_core.models import State
from ims_ovm import OvmProvider
from ims_ovm.compare import compare
from ims_ovm.opening import open_manager
from ims_ovm.wire.table import DEFAULT, Knowledge, corrected
from tests.labs.ovm.server import serving
from tests.ovm.answering import answering, client_of, manager_of, renamed

if TYPE_CHECKING:
    from tests.labs.ovm.manager import Manager
    from tests.ovm.pretended import Client

# Of section 2.2 of the facts: generated stubs have these, and nothing of the other services.
VERIFIED = {
    "getServerPoolByName": (["poolName"], "ServerPool"),
    "getAllServerPools": ([], "ServerPool"),
    "getServerPoolMetricsByServerPoolId": (["serverPoolId"], "ServerPoolMetrics"),
    "getVirtualServerByServerPool": (["serverPoolID"], "VirtualServer"),
    "getVirtualServerMetrics": (["virtualServerIDList"], "VirtualServerMetrics"),
}


def test_what_is_marked_verified_is_what_the_stubs_have_and_only_that() -> None:
    verified = {
        each.name: ([child.name for child in each.parameters], each.result and each.result.kind)
        for each in DEFAULT.operations.values()
        if each.knowledge is Knowledge.VERIFIED
    }
    assert verified == VERIFIED
    assert {each.service for each in DEFAULT.operations.values() if each.name in VERIFIED} == {
        "ServerPoolService"
    }
    powers = ("power_on", "power_off", "shut_down", "suspend", "resume", "unpause")
    assert {DEFAULT.operations[each].knowledge for each in powers} == {Knowledge.ASSUMED}


def test_the_names_of_another_manager_work_once_they_are_told(
    manager: Manager, client: Client
) -> None:
    client.template()
    client.create()
    names = {
        "powerOn": "startVirtualMachine",
        "getAllVMs": "listMachines",
        "imgName": "machineName",
        "vncPassword": "pin",
    }
    told = {
        "power_on": " VirtualMachineService.startVirtualMachine( vm ) ",
        "vms": "VirtualMachineService.listMachines(serverPool)",
    }
    fields = {"VirtualMachine.imgName": "machineName", "VirtualMachine.vncPassword": "pin"}
    with answering(renamed(client.url, **names)) as site:
        untold = client_of(site.url)
        with pytest.raises(HypervisorError, match="getAllVMs") as caught:
            manager_of(untold).images()
        assert caught.value.code == "wsdl-differs"
        assert {each.ok for each in compare(untold)} == {True, False}
        ours = manager_of(client_of(site.url, told, fields))
        assert {each.ok for each in compare(ours.client)} == {True}
        (image,) = ours.images()
        assert (image.name, image.password) == ("web", "s3cret")
        ours.client.call("power_on", image.raw, subject="VM web")
        client.until("RUNNING")


def test_an_operation_may_be_of_another_service_and_its_children_in_another_order() -> None:
    table = corrected({"vm": "ServerPoolService.findVM(pool, vmName)"}, {})
    found = table.operations["vm"]
    assert (found.service, found.name) == ("ServerPoolService", "findVM")
    assert [(each.name, each.kind) for each in found.parameters] == [
        ("pool", "string"),
        ("vmName", "string"),
    ]
    assert found.result == DEFAULT.operations["vm"].result
    assert {k: v for k, v in table.operations.items() if k != "vm"} == {
        k: v for k, v in DEFAULT.operations.items() if k != "vm"
    }


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("nothing", "VirtualMachineService.powerOn(vm)"),
        ("power_on", "powerOn(vm)"),
        ("power_on", "VirtualMachineService.powerOn"),
        ("power_on", "VirtualMachineService.powerOn()"),
        ("power_on", "VirtualMachineService.powerOn(vm, force)"),
        ("power_on", "VirtualMachineService.powerOn(9)"),
        ("power_on", "VirtualMachineService.powerOn(vm) and more"),
        ("power_on", 'VirtualMachineService.power"On(vm)'),
        ("power_on", "../Service.powerOn(vm)"),
        ("vm", "VirtualMachineService.getVMByName(name, name)"),
        ("power_on", ""),
    ],
)
def test_an_operation_that_cannot_be_is_refused_by_its_key(key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"operations.{key} ") as caught:
        corrected({key: text}, {})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("VirtualMachine.nothing", "x"),
        ("Nothing.imgName", "x"),
        ("imgName", "x"),
        ("VirtualMachine.imgName", ""),
        ("VirtualMachine.imgName", "a b"),
        ("VirtualMachine.imgName", 'x"/>'),
        ("VirtualMachine.imgName", "imgId"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_its_key(word: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"fields.{word} "):
        corrected({}, {word: name})


def test_two_fields_may_change_their_names_with_each_other() -> None:
    swap = {"VirtualMachine.imgName": "comments", "VirtualMachine.comments": "imgName"}
    assert corrected({}, swap).name("VirtualMachine", "imgName") == "comments"


def test_the_settings_of_a_pool_reach_the_table(manager: Manager) -> None:
    with serving(manager) as url:
        settings = OvmProvider.settings()(
            manager=url,
            auth="none",
            operations={"power_on": "VirtualMachineService.noSuchThing(vm)"},
            fields={"VmStatus.status": "text"},
            statuses={"On Air": "running", "77": "PAUSED"},
        )
        ours = open_manager(settings.model_dump())
        pool = manager.store.pool("pool")
        manager.store.add_vm(pool, "web", status="RUNNING", memory=64, cpus=1)
        assert [each.subject for each in compare(ours.client) if not each.ok] == [
            "VirtualMachineService.noSuchThing(vm)",
            "VmStatus.text",
        ]
        with pytest.raises(HypervisorError, match="VmStatus has no field 'text'"):
            ours.images()
        assert ours._statuses.read("on-air", None).state is State.RUNNING
        assert ours._statuses.read(None, 77).state is State.PAUSED
        ours.client.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"operations": {"fly": "A.b()"}}, r"operations\.fly"),
        ({"fields": {"A.b": "c"}}, r"fields\.A\.b"),
        ({"statuses": {"On": "ALIVE"}}, r"statuses\.On is 'ALIVE'"),
    ],
)
def test_wrong_corrections_are_refused_when_a_pool_is_opened(
    settings: dict[str, dict[str, str]], says: str
) -> None:
    values = OvmProvider.settings()(manager="http://m", auth="none", **settings).model_dump()
    with pytest.raises(ConfigError, match=says) as caught:
        open_manager(values)
    assert caught.value.exit_status == 2
    assert caught.value.hint
