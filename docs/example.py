"""Create a VM, wait for its guest's receipt, print its metrics, delete it."""

from ims_core import Context, Ims

with Ims() as ims:
    context = Context(properties={"role": "web server"})
    vm = ims.create_vm(provider="kvm", context=context, memory=128 << 20, wait="ready")
    try:
        print(f"{vm.name} applied {vm.receipt.digest}" if vm.receipt else "no receipt")
        print(ims.metrics([vm.name])[0])
    finally:
        ims.delete_vm(vm.name)
