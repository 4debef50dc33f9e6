"""``optimis`` and ``optimis-v2``: the context discs of OPTIMIS' VM Contextualizer.

.. code-block:: text

    .metadata                          version=1, type=context; a guest's shell sources it
    ovf-env.xml                        host name, and the static card's address
    endpoints/<name>.properties        a property
    securitykeys/SSH.key, VPN.key, …   secrets of these names; the public SSH keys
    licensetoken/license.token.<n>     secrets of these names
    scripts/bootstrap.sh               what the guest runs; ours
    scripts/0000                       the context's scripts
    …                                  the context's files below /mnt/context

Version 2 has all but ``.metadata`` below ``data/``, and beside it ``recontext-scripts/``. A guest
of it has a second drive for a recontextualization disc: ``.metadata`` with type=recontext, and
``data/endpoints/``, whose files stand in place of the context disc's. OPTIMIS labels no disc.

Source: OPTIMIS Toolkit, "Virtual Machine Contextualizer User Guide" (2013), and the contextualizer
itself, ``ContextualizationTools/trunk/VmContextualizer`` of year 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.guest import optimis_auto_mounter
from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.limits import beside, buildable
from ims_bootparams.layouts.optimis.contents import ENDPOINTS, contents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context

__all__ = ["LAYOUT", "LAYOUT_V2", "render", "render_recontext", "render_v2"]

LABEL = "OPTIMIS"  # for people only: the guest knows its drives
_DATA = "data/"
_METADATA = ".metadata"


def render(context: Context) -> Mapping[str, bytes]:
    """The disc's files for this context, in version 1 of the structure.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right, or the format cannot carry it; the message names
            the field.
    """
    files, own = contents(context)
    return beside({_METADATA: _metadata(1, "context"), **files}, own)


def render_v2(context: Context) -> Mapping[str, bytes]:
    """The same in version 2; raises as :func:`render`."""
    data = beside(*contents(context))
    return buildable(
        {
            _METADATA: _metadata(2, "context"),
            "recontext-scripts/auto-mounter.sh": optimis_auto_mounter(),
            **{f"{_DATA}{name}": content for name, content in data.items()},
        }
    )


def render_recontext(context: Context) -> Mapping[str, bytes]:
    """The recontextualization disc's files; raises as :func:`render`."""
    whole = render_v2(context)
    endpoints = {name: whole[name] for name in whole if name.startswith(f"{_DATA}{ENDPOINTS}")}
    return {_METADATA: _metadata(2, "recontext"), **endpoints}


def _metadata(version: int, kind: str) -> bytes:
    """Java properties, in what a shell takes for assignments too."""
    return f"version={version}\ntype={kind}\n".encode()


LAYOUT = Layout(name="optimis", label=LABEL, render=render, reader="OPTIMIS")
LAYOUT_V2 = Layout(
    name="optimis-v2",
    label=LABEL,
    render=render_v2,
    reader="OPTIMIS, with recontextualization",
    live=True,
    overlay=render_recontext,
)
