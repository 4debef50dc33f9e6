"""``create-vm --count``: several VMs at once, each made or not for itself."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from ims_cli.describe import list_of_vms
from ims_cli.failure import told
from ims_cli.messages import say
from ims_cli.output import emit
from ims_cli.plain import vm_details
from ims_core.errors import CancelledError, ImsError, InvalidError
from ims_core.models import VM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ims_core import Ims
    from ims_core.models import Context
    from ims_core.service.handles import Handle

__all__ = ["create_several", "report_several"]


def create_several(
    ims: Ims, name: str, count: int, request: str, order: Mapping[str, Any]
) -> list[tuple[str, VM | ImsError]]:
    """Create NAME-1 to NAME-count, some at a time; what became of each, in that order.

    Raises:
        InvalidError: The order says what only one VM can have.
        CancelledError: By a signal; those that are complete are named in its details.
    """
    _refuse_what_is_for_one(order["context"])
    numbers = range(1, count + 1)
    names = [f"{name}-{number}" if name else "" for number in numbers]
    requests = [f"{request}-{number}" if request else "" for number in numbers]
    handles = [
        ims.submit(ims.create_vm, each, request_id=identity, **order)
        for each, identity in zip(names, requests, strict=True)
    ]
    try:
        wait(handles)
    except CancelledError as error:
        for handle in handles:
            handle.cancel()
        wait(handles)
        complete = [
            each.result().name for each in handles if not each.cancelled() and not each.exception()
        ]
        if complete:
            error.details += (f"complete, and still there: {', '.join(complete)}",)
        raise
    return [(each, _result(handle)) for each, handle in zip(names, handles, strict=True)]


def report_several(
    made: Sequence[tuple[str, VM | ImsError]], output: str, *, evidence: bool
) -> int:
    """Print what became of each; returns the exit status."""
    vms = [each for _, each in made if isinstance(each, VM)]
    errors = [(name, each) for name, each in made if isinstance(each, ImsError)]
    data = [
        vm_details(each, evidence=evidence)
        if isinstance(each, VM)
        else {"name": name or None, "error": each.to_json()}
        for name, each in made
    ]
    emit(data, output, lambda: list_of_vms(vms, owner=False))
    for name, error in errors:
        say("\n".join(told(error, name)))
    return errors[0][1].exit_status if errors else 0


def _refuse_what_is_for_one(context: Context) -> None:
    cards = context.interfaces
    single = {
        "--ip": any(card.addresses for card in cards),
        "--mac": any(card.mac for card in cards),
        "--hostname": bool(context.hostname),
    }
    for option, given in single.items():
        if given:
            raise InvalidError(
                f"{option} is for one VM, and --count asks for several",
                code="usage",
                hint=f"leave {option} out; a network with a range in ims.toml gives addresses",
            )


def _result(handle: Handle[VM]) -> VM | ImsError:
    try:
        return handle.result()
    except ImsError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a plugin's defect must not hide the other VMs
        return ImsError(f"internal error: {type(error).__name__}: {error}", code="internal-error")
