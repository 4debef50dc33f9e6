"""A program: a guest that is a process lives through all that a guest can be told, and done to.

Its only argument is the pool's directory. It is for a machine on which it is watched what changes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ims_bootparams.layouts.bootparams import CONF_FILE, LAYOUT, render
from ims_core.models import Carrier, Context, File, Interface, Mark, Script, Template, VMSpec
from ims_core.service.delivery import deliver
from ims_core.undo import Undo
from ims_fake import FakeProvider
from tests.bootparams import contexts
from tests.fake.pools import SIZE, TEMPLATE, settings_of

if TYPE_CHECKING:
    from ims_core.models import Delivery

OPERATION = "0123456789abcdef"
UUID = "7c1f5a0e-5f9c-4b57-9a3b-2f6f4f0f8f11"
SECONDS = 60.0
ESCAPES = (
    b"#!/bin/sh\necho gone >/victim/file; >/escaped; rm -rf /victim; hostname escaped\n"
    b"ip addr add 203.0.113.9/32 dev eth0; mount -t tmpfs none /mnt; useradd escaped\n"
)
SYSTEM = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
LINKS = {
    "etc/hostname": "/etc/hostname",
    "etc/shadow": "/etc/shadow",
    "etc/hosts": "/victim/file",
    "etc/sudoers.d": "/victim",
    "etc/ssh": "/victim",
    "etc/resolv.conf": "/victim/file",
    "opt": "/victim",
    "home/alice": "/root",
    "var/log/ims-context.log": "/victim/file",
    "var/lib/ims/applied": "/victim/file",
    "run": "/victim",
    "sys": "/victim",
}


def main(pool: Path) -> None:
    image = pool.parent / f"{pool.name}.img"
    image.write_bytes(b"x" * SIZE)
    template = Template(TEMPLATE, "raw", "sha256:0", SIZE, SIZE, layout="bootparams")
    with FakeProvider.open(settings_of(pool, guests="processes", guest_seconds=60)) as provider:
        undo = Undo(OPERATION)
        provider.import_template({"image": image}, template, undo, lambda *_: None)
        delivery = delivery_of(provider, "first")
        card = Interface(mac=contexts.MAC, network="fake")
        spec = VMSpec("web-1", UUID, template, SIZE, 1, SIZE, (card,))
        provider.create(provider.prepare(spec), delivery, Mark("s", OPERATION, UUID), undo)
        prepare(pool / "guests" / UUID / "root")
        provider.start(UUID, delivery)
        await_receipt(provider, delivery)
        second = delivery_of(provider, "second")
        provider.update_context(UUID, second)
        await_receipt(provider, second)
        provider.pause(UUID)
        provider.take_snapshot(UUID, "paused", undo)
        provider.suspend(UUID)
        provider.resume(UUID)
        provider.stop(UUID, force=False, timeout=SECONDS)
        provider.restore_snapshot(UUID, "paused")
        provider.resume(UUID)
        provider.stop(UUID, force=True, timeout=SECONDS)


def delivery_of(provider: FakeProvider, name: str) -> Delivery:
    """A context with everything, and paths that the layout itself would not let pass."""
    files = (
        File("/opt/file", b"x"),
        File("/escaped", b"x"),
        File("/etc/passwd.d/file", b"x", 0o4755),
        File("/UP/UP/UP/UP/escaped", b"x"),
        File("/dev/xen/xenbus", b"x"),
        File("/dev/vboxguest", b"x"),
    )
    context = replace(
        contexts.full(),
        properties={"name": name},
        files=files,
        scripts=(Script("reset/escape", ESCAPES), Script(f"config/{name}", ESCAPES)),
        user_data=b"#!/bin/sh\n>/escaped\n",
    )

    def rendered(context: Context) -> dict[str, bytes]:
        files = dict(render(context))
        return {**files, CONF_FILE: files[CONF_FILE].replace(b"/UP", b"/..")}

    careless = replace(LAYOUT, render=rendered)
    return deliver(context, careless, Carrier.ISO, provider.features)


def prepare(root: Path) -> None:
    """A disk whose every link leads out of it."""
    for name, content in SYSTEM.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for name, target in LINKS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def await_receipt(provider: FakeProvider, delivery: Delivery) -> None:
    end = time.monotonic() + SECONDS
    while True:
        (vm,) = provider.inspect([UUID], evidence=True)
        if vm.receipt is not None and vm.receipt.nonce == delivery.nonce:
            break
        if time.monotonic() > end:
            sys.exit(f"no receipt; {provider.console_tail(UUID, 20)}")
        time.sleep(0.05)
    outcome = {item.name: item.message or item.ok for item in vm.receipt.items}
    sys.stdout.write(f"answered {outcome}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
