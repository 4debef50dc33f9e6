"""A fake pool in a directory of the test's own, with one template."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.models import Template
from ims_core.service import Ims
from ims_core.service.events import ignore
from ims_core.testing import Target
from ims_core.undo import Undo
from ims_fake import FakeProvider
from tests.fake.pools import SIZE, TEMPLATE, add_foreign, contents, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_core.service.events import Listener


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool's directory with the template ``tiny``."""
    directory = tmp_path / "pool"
    image = tmp_path / "tiny.raw"
    image.write_bytes(b"\x55" * SIZE)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    template = Template(
        TEMPLATE, "raw", f"sha256:{digest}", SIZE, SIZE, layout="bootparams", default_user="root"
    )
    with FakeProvider.open(settings_of(directory)) as provider:
        files = {"image": image}
        provider.import_template(files, template, Undo("0123456789abcdef"), lambda *_: None)
    return directory


@pytest.fixture
def provider_class() -> type[FakeProvider]:
    """What the suite is run against."""
    return FakeProvider


@pytest.fixture
def ims_target(
    pool: Path, monkeypatch: pytest.MonkeyPatch, provider_class: type[FakeProvider]
) -> Iterator[Target]:
    """What the conformance suite asks for."""

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
        yield
        os.close(descriptor)

    monkeypatch.setattr("ims_fake.directory.LOCK_SECONDS", 0.5)
    settings = settings_of(pool)
    with provider_class.open(settings) as provider:
        yield Target(
            provider=provider,
            template=provider.list_templates()[0],
            settings=settings,
            static_address="192.0.2.77",
            boots=True,
            boot_timeout=5.0,
            make_foreign=make_foreign,
            break_vm=break_vm,
            lab="a directory",
            requests=lambda: provider._directory.requests,
            freeze=freeze,
            patience=5.0,
            leftovers=lambda: set(contents(pool)),
        )


@pytest.fixture
def connect(pool: Path, own_state: Path) -> Iterator[Callable[..., Ims]]:
    """``connect(**settings)``: IMS with this pool, configured as a user would."""
    opened = []

    def connect(progress: Listener = ignore, **settings: Any) -> Ims:
        lines = {"provider": "fake", "template": TEMPLATE, "directory": str(pool), **settings}
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
        (own_state / "ims.toml").write_text(f"[pools.fake]\n{text}")
        opened.append(Ims(progress=progress))
        return opened[-1]

    yield connect
    for ims in opened:
        ims.close()
