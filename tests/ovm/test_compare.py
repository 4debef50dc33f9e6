"""``ims check`` names what a Manager's WSDL has otherwise than the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ims_core.errors import HypervisorError
from ims_ovm.compare import compare
from ims_ovm.wire.table import DEFAULT
from ims_ovm.wire.wsdl import wsdl
from tests.ovm.answering import Answer, Asked, answering, client_of, manager_of, speaking, wsdl_of

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.models import Finding

VM = "VirtualMachineService"


def findings(*changes: tuple[str, str], operations: dict[str, str] | None = None) -> list[Finding]:
    """What is found where these texts stand in all the WSDLs, in place of others."""

    with answering(lambda asked: wsdl_of(asked, *changes)) as site:
        return list(compare(client_of(site.url, operations)))


def faults(*changes: tuple[str, str], **options: dict[str, str]) -> list[tuple[str, str, str]]:
    """The bad ones of them."""
    found = findings(*changes, **options)
    return [(each.subject, each.message, each.fix) for each in found if not each.ok]


def test_a_manager_that_has_all_of_it_has_a_good_finding_for_each_service() -> None:
    assert [(each.subject, each.ok) for each in findings()] == [
        ("ServerPoolService", True),
        (VM, True),
        ("LifecycleService", True),
        ("ResourceService", True),
    ]


def test_operations_that_are_missing_are_named_with_the_words_that_correct_them() -> None:
    operations = DEFAULT.operations.values()
    found = faults(*((f'"{each.name}"', f'"{each.name}V2"') for each in operations))
    assert [each[:2] for each in found] == [
        (each.full_name, f"{each.knowledge}, and this Manager has no such operation")
        for each in operations
    ]
    for operation, (_, _, fix) in zip(operations, found, strict=True):
        assert f"operations.{operation.key} " in fix
        assert f"{operation.name}V2" in fix


def test_children_of_other_names_are_named_and_the_correction_keeps_our_order() -> None:
    change = (children("serverPoolName", "name"), children("vmName", "pool"))
    ((subject, message, fix),) = faults(change)
    assert subject == f"{VM}.getVMByName(serverPoolName, name)"
    assert message.endswith("calls its children: vmName, pool")
    assert fix.endswith("getVMByName(…) with those, in the order of: serverPoolName, name")


def test_children_in_another_order_are_no_difference() -> None:
    assert faults((children("serverPoolName", "name"), children("name", "serverPoolName"))) == []


def children(*names: str) -> str:
    return "".join(f'<element name="{each}" type="string" nillable="true"/>' for each in names)


def test_a_child_of_another_type_is_named() -> None:
    element = 'getAllVMsElement"><complexType><sequence><element name="serverPool" type="t:'
    change = (f'{element}ServerPool"', f'{element}VirtualServer"')
    ((subject, message, _),) = faults(change)
    assert subject == f"{VM}.getAllVMs(serverPool) serverPool"
    assert message == "documented, and this Manager has VirtualServer there, and not ServerPool"


def test_an_answer_without_a_result_or_with_one_for_many_is_named() -> None:
    pools = 'getAllServerPoolsResponseElement"><complexType><sequence><element name="'
    vm = 'getVMByNameResponseElement"><complexType><sequence><element name="result"'
    found = faults(
        (f'{pools}result"', f'{pools}pools"'), (vm, f'{vm} minOccurs="0" maxOccurs="unbounded"')
    )
    assert [each[:2] for each in found] == [
        (
            "ServerPoolService.getAllServerPools()",
            "verified, and this Manager answers with: pools",
        ),
        (
            f"{VM}.getVMByName(serverPoolName, name) result",
            "documented, and this Manager has VirtualMachine[] there, and not VirtualMachine",
        ),
    ]


@pytest.mark.parametrize(
    ("kind", "field", "service"),
    [
        ("TemplateVmConfig", "vmName", "LifecycleService"),
        ("NICConfig", "bridge", "LifecycleService"),  # in a parameter
        ("TemplateResource", "templateName", "ResourceService"),  # a result
        ("VmStatus", "code", VM),  # in a result
    ],
)
def test_a_field_of_another_name_is_named_wherever_its_type_is_used(
    kind: str, field: str, service: str
) -> None:
    text = wsdl(DEFAULT, service).decode()
    begin = text.index(f'<complexType name="{kind}">')
    old = text[begin : text.index("</complexType>", begin)]
    ((subject, message, fix),) = faults((old, old.replace(f'"{field}"', '"other"')))
    assert subject == f"{kind}.{field}"
    assert "other" in message
    assert f'fields."{kind}.{field}"' in fix


def test_a_field_of_another_type_and_a_type_that_is_missing_are_named() -> None:
    changed = faults(('name="imgId" type="long"', 'name="imgId" type="string"'))
    assert [each[:2] for each in changed] == [
        ("VirtualMachine.imgId", "verified, and this Manager has string there, and not long")
    ]
    found = faults(("TemplateResource", "Resource"))
    assert ("TemplateResource", "assumed, and this Manager has no such type") in [
        each[:2] for each in found
    ]


def test_what_the_manager_demands_and_we_do_not_give_is_named() -> None:
    more = '<complexType name="TemplateVmConfig"><sequence><element name="{}" type="string"{}/>'
    old = '<complexType name="TemplateVmConfig"><sequence>'
    ((subject, message, _),) = faults((old, more.format("group", "")))
    assert subject == "TemplateVmConfig.group"
    assert "demands it" in message
    assert faults((old, more.format("group", ' minOccurs="0"'))) == []
    # What the Manager told itself, it gets back with all that is in it.
    machine = old.replace("TemplateVmConfig", "VirtualMachine")
    assert faults((machine, machine + '<element name="group" type="string"/>')) == []


def test_a_style_that_is_not_ours_is_a_finding() -> None:
    ((subject, message, _),) = faults(
        (
            'soapAction="http://oracle.ovs.api//powerOn"/>',
            'soapAction="http://oracle.ovs.api//powerOn" style="rpc"/>',
        ),
    )
    assert subject == f"{VM}.powerOn(vm)"
    assert "document/literal" in message


def test_one_wsdl_that_cannot_be_read_hides_nothing_of_the_others() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("<html/>") if "ServerPool" in asked.path else wsdl_of(asked)

    with answering(answer) as site:
        found = list(compare(client_of(site.url)))
    assert [each.ok for each in found] == [False, True, True, True]
    assert "no WSDL that can be read" in found[0].message


def test_it_reads_the_wsdl_anew_and_so_does_whoever_comes_after(tmp_path: Path) -> None:
    served = [('"powerOn"', '"startVM"')]

    def answer(asked: Asked) -> Answer:
        return wsdl_of(asked, *served) if asked.method == "GET" else Answer("", 403)

    with answering(answer) as site:
        early = client_of(site.url, cache=str(tmp_path))
        with pytest.raises(HypervisorError, match=r"no VirtualMachineService\.powerOn"):
            early.call("power_on", {}, subject="VM web")
        served.clear()  # the site corrects it
        late = client_of(site.url, cache=str(tmp_path))
        with pytest.raises(HypervisorError, match=r"no VirtualMachineService\.powerOn"):
            late.call("power_on", {}, subject="VM web")
        assert {each.ok for each in compare(late)} == {True}
        for client in (late, client_of(site.url, cache=str(tmp_path))):
            with pytest.raises(Exception, match="HTTP 403"):
                client.call("power_on", {}, subject="VM web")


def test_a_field_that_the_manager_s_type_has_not_is_said_and_not_taken_for_nothing() -> None:
    told = {"getAllTemplateResources": "<result><title>a</title><status>b</status></result>"}
    with answering(speaking(told, ('"templateName"', '"title"'))) as site:
        with pytest.raises(HypervisorError, match="no field 'templateName'") as caught:
            manager_of(client_of(site.url)).templates()
        fields = {"TemplateResource.templateName": "title"}
        assert manager_of(client_of(site.url, None, fields)).templates() == {"a": "b"}
    assert 'fields."TemplateResource.templateName"' in caught.value.hint
    assert caught.value.code == "wsdl-differs"
