"""What an OPTIMIS guest finds at ``/mnt/context``, in either version of the disc.

Source: OPTIMIS' VM Contextualizer, ``IsoImageCreation`` and its ``bootstrap.sh``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ims_bootparams.guest import optimis_bootstrap
from ims_bootparams.layouts.limits import ON_MEDIUM, refuse_all_but, set_apart
from ims_bootparams.layouts.optimis.cards import network
from ims_bootparams.layouts.optimis.java_properties import stored
from ims_bootparams.layouts.optimis.keys import key_files
from ims_bootparams.layouts.optimis.manifest import MANIFEST, check_manifest
from ims_bootparams.layouts.ovf import ENVIRONMENT_FILE, environment
from ims_bootparams.validation import check_renderable
from ims_bootparams.validation.common import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context

__all__ = ["ENDPOINTS", "contents"]

ENDPOINTS = "endpoints/"
_TITLE = "VMC properties file for service endpoints:"
# With `.properties` behind it a file's name on a medium. Nothing in it has a meaning to Java.
_NAME = re.compile("[A-Za-z0-9._-]{1,53}")


def contents(context: Context) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The layout's files and the caller's own, by their names below ``/mnt/context``.

    Args:
        context: Complete, with a MAC for each interface.

    Raises:
        InvalidError: The context cannot be right, or OPTIMIS has no place for a field of it.
    """
    check_renderable(context)
    _check_manifest(context)
    context, own = set_apart(context)
    refuse_all_but("optimis", context, ("ssh_keys", "properties", "secrets", "scripts"))
    settings = {"hostname": context.hostname, **network(context.interfaces)}
    files = {
        **_endpoints(context.properties),
        **key_files(context),
        ENVIRONMENT_FILE: environment(context.instance_id, settings),
        "scripts/bootstrap.sh": optimis_bootstrap(),
    }
    for index, script in enumerate(context.scripts):
        files[f"scripts/{index:04}"] = script.content
    return files, own


def _check_manifest(context: Context) -> None:
    for index, file in enumerate(context.files):
        if file.path == f"{ON_MEDIUM}{MANIFEST}":
            check_manifest(f"context.files[{index}].content", file.content)


def _endpoints(properties: Mapping[str, str]) -> dict[str, bytes]:
    files = {}
    taken: dict[str, str] = {}
    for name, value in properties.items():
        field = f"context.properties[{name!r}]"
        if not _NAME.fullmatch(name):
            hint = "Use up to 53 letters, digits, '.', '_' and '-'."
            raise invalid(field, "to OPTIMIS it is the name of a file, and cannot be one", hint)
        other = taken.setdefault(name.lower(), name)
        if other != name:
            raise invalid(field, f"it differs from {other!r} only by case", "Rename one of them.")
        files[f"{ENDPOINTS}{name}.properties"] = stored(_TITLE, name, value)
    return files
