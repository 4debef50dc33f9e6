"""An image in a format that the provider does not take, made one that it does."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from shutil import rmtree
from typing import TYPE_CHECKING

from ims_core.service.events import Event, Phase
from ims_core.service.waiting import percent
from ims_images import convert, private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ims_core.service.session import Session
    from ims_core.service.waiting import Deadline
    from ims_images import ImageInfo

__all__ = ["Conversion"]

_LOOK = 1.0
"""Seconds after which somebody who waits looks whether to wait on."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is to be done.

    Attributes:
        session: The pool it is for.
        image: The file.
        info: What it was found to be.
        target: The format that is wanted.
    """

    session: Session
    image: Path
    info: ImageInfo
    target: str

    @contextmanager
    def result(self, cache: Path, deadline: Deadline) -> Iterator[tuple[Path, ImageInfo]]:
        """The new image, for as long as it takes to store it.

        It lies in a folder that is the old one's own, so what a killed import leaves there goes
        with the next import of the same image.
        """
        key = hashlib.sha256(os.fsencode(self.image.resolve())).hexdigest()
        folder = cache / f"{key}.converted"
        private_directory(cache)
        with self._alone(f"convert-{key}", deadline):
            rmtree(folder, ignore_errors=True)
            try:
                private_directory(folder)
                made = folder / f"disk.{self.target}"
                yield made, self._convert(made, deadline)
            finally:
                rmtree(folder, ignore_errors=True)

    def _convert(self, made: Path, deadline: Deadline) -> ImageInfo:
        tell, name = self.session.tell, self.image.name
        tell(Event(Phase.CONVERT, f"{name} from {self.info.format} to {self.target}"))
        progress = percent(Phase.CONVERT, name, tell, deadline)
        return convert(
            self.image, self.info, self.target, made, timeout=deadline.left, progress=progress
        )

    @contextmanager
    def _alone(self, lock: str, deadline: Deadline) -> Iterator[None]:
        """Be the only one of all processes that converts this image."""
        with ExitStack() as held:
            while True:
                wait = min(_LOOK, deadline.left)
                try:
                    held.enter_context(self.session.store.lock(lock, seconds=wait))
                except TimeoutError:
                    deadline.check(f"another process is converting {self.image.name}")
                else:
                    break
            yield
