"""``hepix`` and ``stratuslab``: one disc for HEPiX, OpenNebula's packages and cloud-init.

.. code-block:: text

    prolog.sh       sourced by HEPiX' services before the network is up
    epilog.sh       sourced by them last
    context.sh      sourced before each of the two; the same as in the layout opennebula
    script-0000     scripts; file-0000, files

HEPiX' services copy the disc to ``/var/lib/hepix/context`` and source ``prolog.sh`` and
``epilog.sh`` there with the argument ``start`` or ``stop``, whatever the disc's label is. The other
two readers want the label ``CONTEXT``; ``stratuslab`` is the same with StratusLab's own label, so
without what HEPiX does not know: users and host keys, and SSH keys for another user than root.

``context.sh`` has three variables more. ``EC2_USER_DATA`` is what amiconfig, and so CernVM, reads:
the raw user data if there is one, else an amiconfig file with the host name. ``PUBLIC_KEY`` holds
the keys, and ``ONE_CONTEXT_PATH`` is where CernVM looks for both.

No ``init.sh`` is written, since one-contextd executes it and HEPiX sources it: who gives one, as
the file ``/mnt/context/init.sh``, must see to both. Users and host keys are told to cloud-init
alone.

Source: HEPiX' services and amiconfig, as CernVM publishes them; CernVM's manual,
"Contextualization"; StratusLab's ``one_contextualization``.
"""

from __future__ import annotations

import base64
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from ims_bootparams.guest import cloud_init_step
from ims_bootparams.layouts import Layout
from ims_bootparams.layouts.limits import beside, refuse_all_but, set_apart
from ims_bootparams.layouts.opennebula import LAYOUT as OPENNEBULA
from ims_bootparams.layouts.opennebula import STEP_FILE, disc, run_script
from ims_bootparams.validation import check_renderable
from ims_core.errors import InvalidError
from ims_core.models import Carrier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ims_core.models import Context

__all__ = ["LAYOUT", "STRATUSLAB", "render", "render_stratuslab"]

_HOST_NAME_MAX = 64
_HEAD = "# Sourced, not executed, with the argument start or stop.\n"
# Of a file on the disc, with its path, mode and owner. Never a link's target: rm first.
_PLACE = (
    'mkdir -p "${2%/*}/" && umask 077 && rm -f "$2" && cp "$1" "$2" && chown "$4" "$2"'
    ' && chmod "$3" "$2"'
)


def render(context: Context) -> Mapping[str, bytes]:
    """The disc's files for this context.

    Args:
        context: Complete, with a MAC for each interface.

    Returns:
        Content by name, without the nonce.

    Raises:
        InvalidError: As the layout opennebula does, or a file of the context has a name that this
            one needs.
    """
    files = disc(context, _variables(context))
    others, own = set_apart(context)
    more = {f"file-{index:04}": file.content for index, file in enumerate(others.files)}
    more |= {
        STEP_FILE: cloud_init_step(),
        "prolog.sh": _sourced(f"hostname {_for_the_kernel(context.hostname)}"),
        "epilog.sh": _sourced(*_steps(others)),
    }
    return {**files, **beside(more, own)}


def render_stratuslab(context: Context) -> Mapping[str, bytes]:
    """The same for HEPiX alone.

    Raises:
        InvalidError: As :func:`render`, or HEPiX has no place for a field of it.
    """
    check_renderable(context)
    carried = ("ssh_keys", "properties", "secrets", "files", "scripts", "user_data")
    refuse_all_but("stratuslab", context, carried)
    if context.ssh_keys and context.default_user not in ("", "root"):
        raise InvalidError(
            "context.default_user: HEPiX gives the SSH keys to root",
            hint="Leave the keys out, or choose a template without a default user.",
        )
    return render(context)


def _variables(context: Context) -> dict[str, str]:
    variables = {
        "EC2_USER_DATA": base64.b64encode(_amiconfig(context)).decode(),
        "ONE_CONTEXT_PATH": "/var/lib/amiconfig",
    }
    if context.ssh_keys:
        variables["PUBLIC_KEY"] = "\n".join(context.ssh_keys)
    return variables


def _amiconfig(context: Context) -> bytes:
    if context.user_data is not None:
        return context.user_data
    return f"[amiconfig]\nplugins=hostname\n\n[hostname]\nhostname={context.hostname}\n".encode()


def _steps(context: Context) -> list[str]:
    """What is run once in the VM's life, by whichever reader of the disc comes first."""
    files = [
        shlex.join(
            (
                *("sh", f"./{STEP_FILE}", f"files.{index}", "sh", "-c", _PLACE, "sh"),
                *(f"file-{index:04}", file.path, f"{file.mode:04o}", file.owner),
            )
        )
        for index, file in enumerate(context.files)
    ]
    return files + [run_script(index) for index, _ in enumerate(context.scripts)]


def _for_the_kernel(hostname: str) -> str:
    """The host name, or what comes before its domain if Linux would not take it all."""
    return hostname if len(hostname) <= _HOST_NAME_MAX else hostname.partition(".")[0]


def _sourced(*lines: str) -> bytes:
    """A script that leaves the shell that sources it as it was."""
    commands = "".join(
        f"    {line}\n" for line in ("umask 077", "mkdir -p /var/lib/ims/cloud-init", *lines)
    )
    return f'{_HEAD}if [ "${{1-}}" = start ]; then (\n{commands}); fi\n'.encode()


LAYOUT = replace(
    OPENNEBULA, name="hepix", render=render, reader=f"HEPiX, amiconfig, {OPENNEBULA.reader}"
)
STRATUSLAB = Layout(
    name="stratuslab",
    label="_STRATUSLAB",
    render=render_stratuslab,
    reader="HEPiX, amiconfig",
    carriers=(Carrier.ISO, Carrier.FAT_DISK),
)
