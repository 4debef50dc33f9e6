"""libvirt's objects, wrapped so that each call that is not known to only look is a point."""

from __future__ import annotations

import errno
import inspect
import re
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.points import Points

__all__ = ["watch_libvirt"]

_LOOKING = re.compile(
    r"""(?x) (get|list|lookup|num|is|has|compare|baseline|recv|vcpu|block(Info|Stats|Peek)|memory)
    .* | .*(LookupBy|Event|CloseCallback|GetXMLDesc|Info|Stats|Parameters|LastError).*
    | c_pointer|connect|close|setKeepAlive|newStream|network|domain|parent|name|key|path|info
    | state|metadata|messages|maxMemory|maxVcpus|autostart|hostname|bridgeName|securityLabel.*
    | ID|OSType|UUID|UUIDString|XMLDesc|MACString|DHCPLeases|download|refresh|interfaceAddresses
    | diskErrors|openConsole|schedulerType|usageID|usageType|filterName|portDev|guestVcpus
    | domainXML(From|To)Native|findStoragePoolSources|snapshotCurrent|sparseRecvAll
    | abort  # of a stream: it sends nothing, and a download ends with it as well
    """
)
_SETTING = re.compile(r"set(?!KeepAlive)")
_NAME = re.compile(r"<name>([^<]*)</name>")


def watch_libvirt(points: Points) -> None:
    """Wrap every method of libvirt's objects that may change something."""
    import libvirt  # noqa: PLC0415 - only where the victim uses it

    def full() -> Exception:
        error = libvirt.libvirtError("no space")
        text = "cannot write: No space left on device"
        code, domain, level = libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_STORAGE, 2
        error.err = (code, domain, text, level, text, None, None, errno.ENOSPC, 0)
        return cast("Exception", error)

    def wrapped(call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(self: Any, *arguments: Any, **words: Any) -> Any:
            with points.reached("libvirt", f"{call} {_about(self, arguments)}".strip(), full):
                return function(self, *arguments, **words)

        return run

    for class_name, cls in inspect.getmembers(libvirt, inspect.isclass):
        for name, function in list(vars(cls).items()):
            if class_name.startswith("vir") and inspect.isfunction(function) and _changes(name):
                setattr(cls, name, wrapped(f"{class_name}.{name}", function))


def _changes(method: str) -> bool:
    """Whether a method may change something: all that is not known to look."""
    looks = _LOOKING.fullmatch(method) and not _SETTING.match(method)
    return not looks and not method.startswith("_")


def _about(self: Any, arguments: tuple[Any, ...]) -> str:
    """What a call changes: what its XML names, or the object itself."""
    for text in arguments:
        if isinstance(text, str) and (found := _NAME.search(text)):
            return found[1]
    return str(self.name()) if hasattr(self, "name") else ""
