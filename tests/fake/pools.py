"""Looking at a fake pool, and changing it, behind the provider's back."""

from __future__ import annotations

import fcntl
import json
import os
import tarfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import uuid4

from ims_core.testing import Target
from ims_fake import FakeProvider
from tests.fake.trouble import WORDS, busy_once, copied, deafened, failing, put_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NETWORK = """
[networks.lab]
network = "fake"
cidr = "192.0.2.0/24"
range = "192.0.2.8-192.0.2.{last}"
"""
TEMPLATE = "tiny"
SIZE = 64 << 10
DYING_SECONDS = 10.0


def settings_of(directory: Path, **changes: Any) -> dict[str, Any]:
    """Settings as the service hands them over."""
    model = FakeProvider.settings().model_validate({"directory": str(directory), **changes})
    return model.model_dump(mode="json")


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a pool, with its bytes."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def add_foreign(directory: Path, name: str, state: str = "running") -> Path:
    """A VM that somebody else made."""
    path = directory / "domains" / f"{uuid4()}.json"
    path.write_text(json.dumps({"name": name, "state": state}))
    return path


def add_network(folder: Path, *, last: int) -> Path:
    """Have ``ims.toml`` give the addresses from 192.0.2.8 to 192.0.2.``last`` to guests."""
    config = folder / "ims.toml"
    config.write_text(config.read_text() + NETWORK.format(last=last))
    return config


@contextmanager
def target_of(
    pool: Path, provider_class: type[FakeProvider] = FakeProvider, **settings: Any
) -> Iterator[Target]:
    """What the conformance suite asks for, of a pool with the template."""

    def make_foreign(name: str) -> Callable[[], object]:
        path = add_foreign(pool, name)
        return lambda: path.unlink(missing_ok=True)

    def break_vm(uuid: str) -> Callable[[], object]:
        description = json.loads((pool / "domains" / f"{uuid}.json").read_text())
        (pool / "volumes" / description["volume"]).unlink()
        return lambda: None

    @contextmanager
    def freeze() -> Iterator[None]:
        descriptor = os.open(pool, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            with patch("ims_fake.directory.LOCK_SECONDS", 0.5):
                yield
        finally:
            os.close(descriptor)

    settings = settings_of(pool, **settings)
    pretended = settings["guests"] == "pretended"  # what really runs is nothing but what it is
    with provider_class.open(settings) as provider:
        yield Target(
            provider=provider,
            template=provider.list_templates()[0],
            settings=settings,
            unreachable=settings | {"directory": "/dev/null/pool"},
            static_address="192.0.2.77",
            boots=True,
            boot_timeout=30.0,
            make_foreign=make_foreign,
            break_vm=break_vm,
            copy_vm=partial(copied, pool),
            lab=f"a directory, with {settings['guests']} guests",
            requests=lambda: provider._directory.requests,
            freeze=freeze,
            deafen=partial(deafened, provider) if pretended else None,
            by_others={
                state: partial(put_state, pool, word) for state, word in WORDS.items() if pretended
            },
            fails=failing,
            busy=busy_once,
            patience=5.0,
            read_disk=partial(read_disk, pool),
            read_media=partial(read_media, pool),
            leftovers=lambda: {_leftover(name) for name in contents(pool)},
        )


def read_disk(pool: Path, uuid: str, path: str) -> tuple[bytes, int]:
    """A file in a VM's disk, with its mode."""
    description = json.loads((pool / "domains" / f"{uuid}.json").read_text())
    with tarfile.open(pool / "volumes" / description["volume"]) as tar:
        member = tar.getmember(path)
        file = tar.extractfile(member)
        assert file is not None
        return file.read(), member.mode


def read_media(pool: Path, uuid: str) -> list[bytes]:
    """What is in a VM's drives."""
    description = json.loads((pool / "domains" / f"{uuid}.json").read_text())
    files = ((kind, description[kind]) for kind in ("seed", "overlay"))
    return [(pool / f"{kind}s" / name).read_bytes() for kind, name in files if name]


def _leftover(name: str) -> str:
    """A file; what a guest has is one thing, as its files come and go while it runs."""
    parts = Path(name).parts
    return "/".join(parts[:2]) if parts[0] == "guests" else name


def processes_below(directory: Path) -> dict[int, str]:
    """Whatever runs in a folder of a pool, the command by number; not what has ended."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if where.is_relative_to(directory) and command:
            found[int(process.name)] = command
    return found


def left_below(directory: Path) -> dict[int, str]:
    """What still runs there when all that was killed has had its moment to die."""
    end = time.monotonic() + DYING_SECONDS
    while (found := processes_below(directory)) and time.monotonic() < end:
        time.sleep(0.02)
    return found
