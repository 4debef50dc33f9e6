"""What a user's mypy --strict sees of the API; it is checked and never run."""

from __future__ import annotations

from typing import assert_type

from ims_core import VM, Address, Context, Ims, ImsError, Metrics, Receipt, Snapshot, State

with Ims() as ims:
    vm = ims.create_vm("web01", provider="kvm", context=Context(properties={"role": "web"}))
    assert_type(vm, VM)
    assert_type(vm.state, State)
    assert_type(vm.receipt, Receipt | None)
    assert_type(vm.addresses, tuple[Address, ...])
    assert_type(ims.list_vms(), list[VM])
    for each in ims.metrics([vm.name]):
        assert_type(each, Metrics)
        assert_type(each.cpu_seconds, float | None)
    assert_type(ims.list_snapshots("web01"), list[Snapshot])
    ims.create_vm("web02", memory="1G")  # type: ignore[arg-type]
    ims.create_vn("web02")  # type: ignore[attr-defined]
    vm.name = "web03"  # type: ignore[misc]
    handle = ims.submit(ims.create_vm, "web04", wait="ready")
    assert_type(handle.result(), VM)
    ims.submit(ims.create_vm, nmae="web05")  # type: ignore[call-arg]
    try:
        ims.delete_vm("web01")
    except ImsError as error:
        assert_type(error.code, str)
        assert_type(error.exit_status, int)
