"""What the conformance suite is told about the hypervisor under test."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from ims_core.testing import Target

from ims_acme import AcmeProvider
from ims_acme.hypervisor import Machine, connect


@pytest.fixture
def ims_target() -> Iterator[Target]:
    """A hypervisor of the test's own."""
    # YOURS: one that may be played with; an environment variable can tell its address. What this
    # target leaves out, the suite skips with the reason: `pytest -ra` shows what is not tested yet.
    address = f"memory://{uuid4()}"
    model = AcmeProvider.settings()
    settings = model(address=address).model_dump(mode="json")
    client = connect(address)

    def make_foreign(name: str) -> Callable[[], object]:
        machine = Machine(str(uuid4()), name)
        client.define(machine)
        return lambda: client.undefine(machine.uuid)

    def break_vm(uuid: str) -> Callable[[], object]:
        client.delete_volume(client.machines[uuid].disk)
        return lambda: None

    def leftovers() -> set[str]:
        return {*client.machines, *client.volumes, *client.images}

    with AcmeProvider.open(settings) as provider:
        yield Target(
            provider=provider,
            template=provider.list_templates()[0],
            settings=settings,
            static_address="192.0.2.77",
            boots=True,
            boot_timeout=5.0,
            make_foreign=make_foreign,
            break_vm=break_vm,
            leftovers=leftovers,
        )
