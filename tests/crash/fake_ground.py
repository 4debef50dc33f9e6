"""A fake pool as the ground of a matrix: all of it is files."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from tests.crash.ground import (
    FOREIGN,
    KEPT,
    POOL,
    SPARE,
    TWO_MEDIA,
    VICTIM,
    Ground,
    Seen,
    fingerprint,
)
from tests.fake.pools import SIZE, add_foreign

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FakeGround"]


class FakeGround(Ground):
    """A fake pool with a template, a VM that stays, and what others put there."""

    @classmethod
    def make(cls, root: Path) -> FakeGround:
        """Make it, with the bases ``empty``, ``off``, ``running`` and ``two-media``."""
        ground = cls(root)
        (root / "ims.toml").write_text(
            f'default_pool = "{POOL}"\n[pools.{POOL}]\nprovider = "fake"\ntemplate = "tiny"\n'
            f'directory = "{ground._pool}"\n'
        )
        image = root / "image.raw"
        image.write_bytes(b"\x55" * SIZE)
        for name in ("tiny", SPARE):
            ground.well("import-template", str(image), "--name", name, "--layout", "bootparams")
        ground.well("create-vm", KEPT, "--ip", "192.0.2.40")
        add_foreign(ground._pool, FOREIGN)
        (ground._pool / "volumes" / f"{VICTIM}-keep.img").write_bytes(b"somebody's")
        ground.save("empty")
        ground.well("create-vm", VICTIM, "--ip", ground.address, "--wait", "defined")
        ground.save("off")
        ground.well("start-vm", VICTIM)
        ground.save("running")
        ground.restore("empty")
        ground.well("create-vm", VICTIM, "--ip", ground.address, *TWO_MEDIA)
        ground.save("two-media")
        return ground

    @property
    def _pool(self) -> Path:
        return self.root / "pool"

    @property
    def roots(self) -> dict[str, str]:
        return {"pool": str(self._pool), "state": str(self.state)}

    @property
    def address(self) -> str:
        return "192.0.2.50"

    def pool(self) -> tuple[dict[str, str], dict[str, Seen], frozenset[str]]:
        things = {
            str(path.relative_to(self._pool)): fingerprint(path) for path in self._pool.rglob("*")
        }
        found = (self._seen(path) for path in (self._pool / "domains").glob("*.json"))
        manifests = (self._pool / "templates").glob("*.json")
        templates = frozenset(json.loads(path.read_bytes())["name"] for path in manifests)
        return things, {name: vm for name, vm in found if vm.operation}, templates

    def missing(self, vm: Seen, things: set[str]) -> list[str]:
        stem = f"{VICTIM}-{vm.operation}"
        needed = {f"domains/{vm.uuid}.json", f"volumes/{stem}.img", f"seeds/{stem}.iso"}
        return sorted(needed - things)

    def owns(self, vm: Seen, thing: str) -> bool:
        return vm.uuid in thing or vm.operation in thing

    def save_pool(self, base: str) -> None:
        shutil.copytree(self._pool, self.root / "saved" / base / "pool")

    def restore_pool(self, base: str) -> None:
        shutil.rmtree(self._pool)
        shutil.copytree(self.root / "saved" / base / "pool", self._pool)

    def _seen(self, path: Path) -> tuple[str, Seen]:
        values = json.loads(path.read_bytes())
        mark = values.get("mark") or {"operation": "", "complete": False}
        files = [
            self._pool / place / values[kind]
            for kind, place in (("seed", "seeds"), ("overlay", "overlays"))
            if values.get(kind)
        ]
        return values["name"], Seen(
            path.stem,
            mark["operation"],
            mark["complete"],
            values["state"] == "running",
            tuple(each.read_bytes() if each.is_file() else b"" for each in files),
        )
