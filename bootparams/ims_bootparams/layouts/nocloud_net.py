"""``nocloud-net``: tells cloud-init, by the machine's serial number, where its seed is.

.. code-block:: text

    ds=nocloud-net;s=<seed_url>;h=<hostname>;i=<instance_id>

cloud-init's NoCloud source takes the serial number of the system (SMBIOS type 1) as it takes a
kernel's command line. It asks DHCP on the first card, and fetches ``meta-data``, ``user-data`` and
``vendor-data`` below the URL, which whoever gives it serves. What the seed says of host name and
instance-id does not count, since the first source wins. The seed tells all the rest, also of
further cards; release 22.4 does not fetch a ``network-config``. In the guest the serial number is
for root only; on the host it stands among the arguments of the hypervisor's process.

Source: cloud-init's manual, "NoCloud"; its release 22.4; DMTF DSP0134, "System Information".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.limits import refuse_all_but
from ims_bootparams.validation import check_renderable
from ims_core.errors import InvalidError
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context

__all__ = ["LAYOUT", "MOST_CHARACTERS", "SERIAL", "render"]

SERIAL = "serial"
"""The one name in what is rendered: the serial number of the system."""

MOST_CHARACTERS = 255
"""Of the serial number. SMBIOS knows no limit since 2.7 (section 6.1.3) and Linux shows 4094, but
VirtualBox reads each of these strings into 256 bytes (``DevFwCommon.cpp``)."""


def render(context: Context) -> Mapping[str, bytes]:
    """The serial number for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        The one value, under the name :data:`SERIAL`.

    Raises:
        InvalidError: The context cannot be right, has no seed, or has what only the seed can tell;
            the message names the field.
    """
    check_renderable(context, tells_seed=True)
    if not context.seed_url:
        raise InvalidError(
            "context.seed_url: it is empty, and the layout nocloud-net tells nothing else",
            hint="Give the URL below which you serve user-data and meta-data, or use the layout"
            " nocloud.",
        )
    refuse_all_but("nocloud-net", context, ("seed_url",))
    _check_cards(context)
    # Not `ds=nocloud`: with it, release 22.4 takes no URL of http.
    words = ("ds=nocloud-net", f"s={context.seed_url}", f"h={context.hostname}")
    serial = ";".join((*words, f"i={context.instance_id}"))
    if len(serial) > MOST_CHARACTERS:
        raise InvalidError(
            f"context.seed_url: the serial number would have {len(serial)} characters, and"
            f" {MOST_CHARACTERS} are the most",
            code="context-too-large",
            hint="Give a shorter URL, or a shorter host name.",
        )
    return {SERIAL: serial.encode("ascii")}


def _check_cards(context: Context) -> None:
    """Refuse all but DHCP: the seed is fetched by the network, so it cannot tell the network."""
    for index, card in enumerate(context.interfaces):
        for field in ("addresses", "nameservers", "search"):
            if getattr(card, field):
                raise InvalidError(
                    f"context.interfaces[{index}].{field}: the layout nocloud-net cannot carry it",
                    hint="Let DHCP tell it, or use the layout nocloud.",
                )


LAYOUT = Layout(
    name="nocloud-net",
    label="",
    render=render,
    reader="cloud-init (NoCloud)",
    carriers=(Carrier.SMBIOS,),
)
