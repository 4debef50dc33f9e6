"""``ovf``: an OVF environment document, on a medium labelled ``OVF-TRANSPORT``.

.. code-block:: text

    ovf-env.xml     <oe:Property oe:key="…" oe:value="…"/> for each of
                    instance-id, hostname, public-keys, user-data, network-config,
                    and the context's properties and secrets under names of their own
    ims.checks      what the receipt is judged by

cloud-init's OVF source reads it from a CD alone. ``user-data`` and ``network-config`` are base64,
the latter of YAML with a ``network:`` around it. ``public-keys`` is one string, which cloud-init
takes for one line of ``authorized_keys``: of two lines in it, root would get the second without the
options that let nobody in as root. So it has the first key, and user-data tells the others.

Source: DMTF DSP0243 1.1 (ISO/IEC 17203), section 11, and its schema DSP8027; cloud-init 22.4.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.cloud_init.data import (
    CHECKS_FILE,
    answering_user_data,
    answers_by_user_data,
    expectations,
)
from ims_bootparams.layouts.cloud_init.yaml import to_yaml
from ims_bootparams.layouts.nocloud import network_v2
from ims_bootparams.validation import check_renderable
from ims_core.errors import InvalidError
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ims_core.models import Context

__all__ = ["ENVIRONMENT_FILE", "LAYOUT", "check_characters", "environment", "render"]

ENVIRONMENT_FILE = "ovf-env.xml"
LABEL = "OVF-TRANSPORT"

_NAMESPACE = "http://schemas.dmtf.org/ovf/environment/1"
_PLATFORM = {"Kind": "IMS", "Version": "1", "Vendor": "IMS", "Locale": "en"}

# What cloud-init's source takes for its own.
_CLOUD_INIT_S = frozenset(
    {
        *("instance-id", "hostname", "local-hostname", "public-keys", "user-data"),
        *("password", "seedfrom", "network-config"),
    }
)

# Char of XML 1.0, section 2.2; what is not there cannot even be written as a reference.
_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A reader of attributes makes a space of a plain line break or tab (XML 1.0, section 3.3.3).
_REFERENCES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"} | {c: f"&#{ord(c)};" for c in "\t\n\r"}
)


def check_characters(field: str, text: str) -> None:
    """Refuse text that no XML document can hold.

    Args:
        field: Of the context, for the error.
        text: Any.

    Raises:
        InvalidError: It has a character that XML 1.0 does not know; the text is not in the error.
    """
    found = _NO_CHARACTER.search(text)
    if found:
        raise InvalidError(
            f"{field}: it holds U+{ord(found[0]):04X}, which no XML document can carry",
            hint="Remove that character, put the text into a file, or use another layout.",
        )


def environment(vm_id: str, properties: Mapping[str, str]) -> bytes:
    """An OVF environment document, in ASCII; equal properties give equal bytes.

    Args:
        vm_id: Of the virtual system.
        properties: By key; each key and value has passed :func:`check_characters`.
    """
    platform = "".join(f"    <oe:{name}>{text}</oe:{name}>\n" for name, text in _PLATFORM.items())
    listed = "".join(
        f"    <oe:Property oe:key={_quoted(key)} oe:value={_quoted(value)}/>\n"
        for key, value in properties.items()
    )
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<oe:Environment xmlns:oe="{_NAMESPACE}" oe:id={_quoted(vm_id)}>\n'
        f"  <oe:PlatformSection>\n{platform}  </oe:PlatformSection>\n"
        f"  <oe:PropertySection>\n{listed}  </oe:PropertySection>\n"
        "</oe:Environment>\n"
    )
    return document.encode("ascii", "xmlcharrefreplace")


def _quoted(text: str) -> str:
    return f'"{text.translate(_REFERENCES)}"'


def render(context: Context) -> Mapping[str, bytes]:
    """The medium's files for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: The context cannot be right, has a property that cloud-init would take for its
            own, or a character that XML cannot carry; the message names the field.
    """
    check_renderable(context)
    _check(context)
    return {
        ENVIRONMENT_FILE: environment(context.instance_id, dict(_properties(context))),
        CHECKS_FILE: expectations(context),
    }


def _check(context: Context) -> None:
    for index, key in enumerate(context.ssh_keys):
        check_characters(f"context.ssh_keys[{index}]", key)
    for kind in ("properties", "secrets"):
        for name, value in getattr(context, kind).items():
            field = f"context.{kind}[{name!r}]"
            if name in _CLOUD_INIT_S:
                raise InvalidError(
                    f"{field}: in the layout ovf, cloud-init takes it for its own {name}",
                    hint="Give it another name, or use another layout.",
                )
            check_characters(field, name)
            check_characters(field, value)


def _properties(context: Context) -> Iterator[tuple[str, str]]:
    yield "instance-id", context.instance_id
    yield "hostname", context.hostname
    others: dict[str, list[str]] = {}
    if context.ssh_keys:
        first, *rest = context.ssh_keys
        yield "public-keys", first
        if rest:
            others["ssh_authorized_keys"] = rest
    yield "user-data", _base64(answering_user_data(context, LABEL, others))
    if context.interfaces:  # without any, cloud-init's own default is DHCP on the first card
        yield "network-config", _base64(to_yaml({"network": network_v2(context.interfaces)}))
    yield from context.properties.items()
    yield from context.secrets.items()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


LAYOUT = Layout(
    name="ovf",
    label=LABEL,
    render=render,
    reader="cloud-init (OVF)",
    carriers=(Carrier.ISO,),  # elsewhere cloud-init does not look for it
    answers=answers_by_user_data,
)
