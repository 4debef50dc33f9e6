"""The vm.cfg of a domain that somebody else made, out of what libxl knows of it.

xl forgets a domain when it ends, so a VM that is adopted needs a file to start from. What is not
understood here is refused by its name, and never left out: the VM would start as another one.

Source: ``xl list -l``; the fields are those of libxl_types.idl.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ims_core.errors import UnsupportedError
from ims_dom0.vmcfg import Disk, write_disk, write_xl

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ims_dom0.vmcfg import XlValue

__all__ = ["config_of"]

_KIB_IN_MIB = 1024
_TEXTS = ("kernel", "ramdisk", "cmdline", "bootloader")
_ENDS = ("on_poweroff", "on_reboot", "on_watchdog", "on_crash")
# What xl fills in by itself, the same at each start.
_OWN_INFO = ("type", "name", "uuid", "domid", "run_hotplug_scripts")
_OWN_BUILD = (
    "max_vcpus",
    "avail_vcpus",
    "max_memkb",
    "target_memkb",
    "video_memkb",
    "shadow_memkb",
)
_OWN_BUILD_TOO = ("sched_params", "claim_mode", "arch_x86", "arch_arm", "type.pv", "type.pvh")
_OWN_DISK = ("pdev_path", "vdev", "format", "readwrite", "is_cdrom", "backend", "removable")
_OWN_NIC = ("devid", "mac", "bridge", "script", "nictype", "mtu")


def config_of(listed: bytes) -> str:
    """The text of a vm.cfg that makes the same domain.

    Args:
        listed: What ``xl list -l`` printed of one domain.

    Raises:
        UnsupportedError: ``not-adoptable``: the domain has something that is not known here.
    """
    try:
        config = json.loads(listed)[0]["config"]
        return write_xl(_values(config))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(f"xl's description of it cannot be read ({error})") from None


def _values(config: Mapping[str, Any]) -> dict[str, XlValue]:
    info, build = config["c_info"], config["b_info"]
    _only("", config, ("c_info", "b_info", "disks", "nics", *_ENDS, "on_soft_reset"))
    _only("c_info.", info, _OWN_INFO)
    _only("b_info.", build, (*_OWN_BUILD, *_OWN_BUILD_TOO, *_TEXTS))
    for kind in ("type.pv", "type.pvh"):
        _only(f"b_info.{kind}.", build.get(kind, {}), ())
    most = build.get("max_vcpus", 1)  # libxl tells only what somebody has asked for
    return {
        "name": info["name"],
        "uuid": info["uuid"],
        "type": info["type"],
        "memory": build["target_memkb"] // _KIB_IN_MIB,
        "maxmem": build["max_memkb"] // _KIB_IN_MIB,
        "vcpus": len(build.get("avail_vcpus", [])) or most,
        "maxvcpus": most,
        **{word: build[word] for word in _TEXTS if word in build},
        "disk": [write_disk(_disk(each)) for each in config.get("disks", [])],
        "vif": [_card(each) for each in config.get("nics", [])],
        **{word: config[word] for word in _ENDS if word in config},
    }


def _disk(fields: Mapping[str, Any]) -> Disk:
    _only("disks.", {k: v for k, v in fields.items() if not k.startswith("colo_")}, _OWN_DISK)
    cdrom = bool(fields.get("is_cdrom"))
    writable = bool(fields.get("readwrite")) and not cdrom
    return Disk(
        target=fields.get("pdev_path", ""),
        format=fields.get("format", "raw"),
        vdev=fields["vdev"],
        access="rw" if writable else "ro",
        kind="cdrom" if cdrom else "disk",
    )


def _card(fields: Mapping[str, Any]) -> str:
    _only("nics.", fields, _OWN_NIC)
    return ",".join(
        f"{word}={fields[word]}" for word in ("mac", "bridge", "script") if word in fields
    )


def _only(where: str, fields: Mapping[str, Any], known: Collection[str]) -> None:
    for field in fields:
        if field not in known:
            raise _refused(f"it has {where}{field}, which IMS does not know")


def _refused(why: str) -> UnsupportedError:
    return UnsupportedError(
        f"this domain cannot be adopted: {why}",
        code="not-adoptable",
        hint="keep starting it with `xl create`",
    )
