"""What the Manager's operations and fields are called: one table, which a site can correct.

Oracle VM Manager 2.2 is not to be had any more. Each entry says how far it is known:

``verified``
    Read in JAX-WS stubs that were generated from a real Manager's WSDL.
``documented``
    The operation's name is in Oracle's Javadoc (E15446, E14979); the names of its elements are by
    analogy to the verified ones.
``assumed``
    Ours. A site whose Manager calls it otherwise says so in the pool's ``operations`` or
    ``fields``; ``ims check`` compares all of it with the WSDLs that the Manager serves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from ims_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT", "USED", "Field", "Kind", "Knowledge", "Operation", "Table", "corrected"]


class Knowledge(StrEnum):
    """How far an entry is known; see the module."""

    VERIFIED = "verified"
    DOCUMENTED = "documented"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Field:
    """A child of an element: its name, its type, and how often it comes.

    Attributes:
        kind: An XML Schema type such as ``long``, ``map``, or the name of one of the types.
        many: Whether it comes any number of times, else once.
        optional: Whether it may be missing.
    """

    name: str
    kind: str
    many: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a service.

    Attributes:
        key: Our own word for what it does.
        parameters: The request's children, in the order in which we give them.
        result: The response's ``result``; None where there is none.
    """

    key: str
    knowledge: Knowledge
    service: str
    name: str
    parameters: tuple[Field, ...]
    result: Field | None

    @property
    def full_name(self) -> str:
        """As people and the settings write it: ``Service.operation(child, child)``."""
        return f"{self.service}.{self.name}({', '.join(each.name for each in self.parameters)})"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of the Manager's, with its fields in their order."""

    name: str
    knowledge: Knowledge
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The operations and types, as a site has them.

    Attributes:
        operations: By our own word.
        kinds: By their names.
        names: What a site calls a field, by ``Type.field``, where it is another name.
    """

    operations: Mapping[str, Operation]
    kinds: Mapping[str, Kind]
    names: Mapping[str, str]

    def name(self, kind: str, field: str) -> str:
        """What a field of a type is called at this site."""
        return self.names.get(f"{kind}.{field}", field)

    @property
    def secrets(self) -> frozenset[str]:
        """What the site calls the fields that hold passwords."""
        return frozenset(
            self.name(kind.name, each.name)
            for kind in self.kinds.values()
            for each in kind.fields
            if each.name.lower().endswith(("password", "pwd"))
        )


_OPERATIONS = """
verified server_pool ServerPoolService.getServerPoolByName(poolName:string) ServerPool
verified server_pools ServerPoolService.getAllServerPools() ServerPool[]
verified pool_metrics ServerPoolService.getServerPoolMetricsByServerPoolId(serverPoolId:long) \
ServerPoolMetrics
verified servers ServerPoolService.getVirtualServerByServerPool(serverPoolID:long) VirtualServer[]
verified server_metrics ServerPoolService.getVirtualServerMetrics(virtualServerIDList:long[]) \
VirtualServerMetrics[]
documented vms VirtualMachineService.getAllVMs(serverPool:ServerPool) VirtualMachine[]
documented vm VirtualMachineService.getVMByName(serverPoolName:string, name:string) VirtualMachine
documented delete_vm VirtualMachineService.deleteVMByVMId(vmId:long)
documented put_properties VirtualMachineService.createPropertiesFileOnVirtualMachine(\
properties:map, vm:VirtualMachine, propFileName:string)
assumed power_on VirtualMachineService.powerOn(vm:VirtualMachine)
assumed shut_down VirtualMachineService.shutdown(vm:VirtualMachine)
assumed power_off VirtualMachineService.powerOff(vm:VirtualMachine)
assumed suspend VirtualMachineService.suspend(vm:VirtualMachine)
assumed resume VirtualMachineService.resume(vm:VirtualMachine)
assumed unpause VirtualMachineService.unpause(vm:VirtualMachine)
documented create_vm LifecycleService.createVmBasedOnTemplate(config:TemplateVmConfig)
documented templates ResourceService.getAllTemplateResources(serverPoolName:string) \
TemplateResource[]
documented approve_template ResourceService.approveTemplate(serverPoolName:string, \
templateName:string)
documented delete_template ResourceService.deleteTemplate(serverPoolName:string, \
templateName:string)
assumed import_template ResourceService.importTemplate(serverPoolName:string, templateName:string)
assumed import_remote_template ResourceService.importTemplateFromURL(serverPoolName:string, \
templateName:string, url:string)
"""

_TYPES = """
verified ServerPool haEnable:boolean description:string status:string serverPoolId:long \
serverPoolName:string serverPoolVirtualIP:string?
verified ServerPoolMetrics freeDiskSpace:long totalNumOfCpus:long freeMemory:long \
allocatedVCpu:long totalMemory:long totalNumOfChips:long totalCPUSpeedMHZ:long serverPoolName:string
verified VirtualServer comments:string platform:string memAmount:long supportHVM:string \
serverType:string loginUsername:string status:string serverTypeDisplay:string memFree:long \
serverId:long vmList:list serverPool:ServerPool architecture:string hdAmount:long \
loginPassword:string agentPwd:string serverName:string location:string ip:string cpuNum:long \
hdFree:long
verified VirtualServerMetrics freeDiskSpace:long virtualServerID:long cpuSpeedMHZ:long \
freeMemory:long allocatedVCpu:long totalMemory:long numOfPhysicalCPU:long \
virtualServerName:string cpuUtil:map
verified BootDevice bootDevice:string
verified VmStatus code:int status:string vmId:long
verified VmType vmType:string
verified VirtualMachine imgName:string comments:string imgId:long bootDevice:BootDevice \
imgSize:string vncPassword:string maximumMemory:int publish:string cpuNumber:int \
haEnable:boolean uuid:string operatingSystemName:string createTime:long parentImg:long \
systemPassword:string location:string memory:int systemLogin:string platform:string \
deploy:string status:VmStatus vncPort:int imgIp:string poweronTime:long architecture:string \
virtualMachineType:VmType keyboardLayout:string pvdriver:boolean cpuCap:int? cpuPriority:int?
assumed TemplateVmConfig vmName:string templateName:string targetServerPool:ServerPool \
cpuNumber:int memory:int consolePassword:string vif:NICConfig[]
assumed NICConfig macAddress:string bridge:string
assumed TemplateResource templateId:long templateName:string status:string
"""

_LINE = re.compile(
    r"(?P<knowledge>[a-z]+) (?P<key>[a-z_]+) (?P<service>\w+)\.(?P<name>\w+)"
    r"\((?P<parameters>[^)]*)\)(?: (?P<result>\S+))?"
)
_NAME = re.compile(r"[A-Za-z]\w*")
_OVERRIDE = re.compile(
    r"(?P<service>[A-Za-z]\w*)\.(?P<name>[A-Za-z]\w*)\((?P<parameters>[\w ,]*)\)"
)


def _field(name: str, kind: str) -> Field:
    plain = kind.removesuffix("[]").removesuffix("?")
    return Field(name, plain, many=kind.endswith("[]"), optional=kind.endswith("?"))


def _fields(text: str) -> tuple[Field, ...]:
    pairs = (each.strip().partition(":") for each in text.split(",") if each.strip())
    return tuple(_field(name, kind) for name, _, kind in pairs)


def _operation(line: str) -> Operation:
    match = _LINE.fullmatch(line)
    assert match, line  # noqa: S101 - the text stands above
    return Operation(
        key=match["key"],
        knowledge=Knowledge(match["knowledge"]),
        service=match["service"],
        name=match["name"],
        parameters=_fields(match["parameters"]),
        result=_field("result", match["result"]) if match["result"] else None,
    )


def _kind(line: str) -> Kind:
    knowledge, name, *fields = line.split()
    return Kind(name, Knowledge(knowledge), _fields(",".join(fields)))


DEFAULT = Table(
    MappingProxyType(
        {each.key: each for each in map(_operation, _OPERATIONS.strip().splitlines())}
    ),
    MappingProxyType({each.name: each for each in map(_kind, _TYPES.strip().splitlines())}),
    MappingProxyType({}),
)
"""As far as it is known, and assumed where it is not."""

USED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ServerPool": ("serverPoolId", "serverPoolName"),
        "ServerPoolMetrics": ("totalNumOfCpus", "totalMemory", "freeMemory", "freeDiskSpace"),
        "VirtualServer": ("serverId", "serverName", "cpuNum", "memAmount"),
        "VirtualServerMetrics": ("virtualServerID", "freeMemory"),
        "VmStatus": ("code", "status"),
        "VirtualMachine": (
            *("imgId", "imgName", "uuid", "memory", "cpuNumber", "status", "vncPassword"),
        ),
        "TemplateVmConfig": tuple(each.name for each in DEFAULT.kinds["TemplateVmConfig"].fields),
        "NICConfig": ("macAddress", "bridge"),
        "TemplateResource": ("templateName", "status"),
    }
)
"""The fields that IMS writes or reads, by their type. The others are given back as they came."""


def corrected(operations: Mapping[str, str], fields: Mapping[str, str]) -> Table:
    """The table with a site's own names.

    Args:
        operations: ``Service.operation(child, child)`` by our word for what it does; as many
            children as there are here, in the same order.
        fields: A field's name by ``Type.field``, as it is called here.

    Raises:
        ConfigError: A word or a field that is not in the table, or another form.
    """
    table = Table(DEFAULT.operations, DEFAULT.kinds, dict(fields))
    known = {
        f"{kind.name}.{each.name}": [table.name(kind.name, other.name) for other in kind.fields]
        for kind in DEFAULT.kinds.values()
        for each in kind.fields
    }
    for word, name in fields.items():
        if not _NAME.fullmatch(name) or known.get(word, []).count(name) != 1:
            raise ConfigError(
                f"fields.{word} is {name!r}",
                hint="docs/providers/ovm.md lists the fields that IMS uses; give one another name,"
                " which no other of its type has",
            )
    changed = {key: _corrected(key, text) for key, text in operations.items()}
    return replace(table, operations={**DEFAULT.operations, **changed})


def _corrected(key: str, text: str) -> Operation:
    default = DEFAULT.operations.get(key)
    if default is None:
        raise ConfigError(
            f"operations.{key} is not an operation that IMS uses",
            hint=f"known: {', '.join(DEFAULT.operations)}",
        )
    match = _OVERRIDE.fullmatch(text.strip())
    children = _NAME.findall(match["parameters"]) if match else []
    if not match or not len(children) == len(set(children)) == len(default.parameters):
        raise ConfigError(
            f"operations.{key} is {text!r}",
            hint=f"write it as {default.full_name}, with the same number of children",
        )
    pairs = zip(default.parameters, children, strict=True)
    parameters = tuple(replace(each, name=name) for each, name in pairs)
    return replace(default, service=match["service"], name=match["name"], parameters=parameters)
