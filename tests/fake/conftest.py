"""A fake pool in a directory of the test's own, with one template."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from ims_core.models import Template
from ims_core.service import Ims
from ims_core.service.events import ignore
from ims_core.undo import Undo
from ims_fake import FakeProvider
from tests.fake.pools import SIZE, TEMPLATE, settings_of, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ims_core.service.events import Listener
    from ims_core.testing import Target


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
def ims_target(pool: Path, provider_class: type[FakeProvider]) -> Iterator[Target]:
    """What the conformance suite asks for."""
    with target_of(pool, provider_class) as target:
        yield target


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
