"""Templates: images of the hypervisor, each with the rest of what IMS must know in its note."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ims_core.errors import NotFoundError, NotOursError
from ims_core.models import Template
from ims_core.spi import Progress, UndoLog

from .hypervisor import Hypervisor, Image
from .translate import ask

__all__ = ["Templates"]

LAYOUT = "bootparams"
"""Which context the guests of images read that IMS did not bring in."""


class Templates:
    """The optional feature `templates`, `ims_core.spi.TemplateStore`; `create-vm` needs it.

    Other optional features can be classes like this one, too.
    """

    _client: Hypervisor

    def list_templates(self) -> Sequence[Template]:
        """Every image that is published, those of others included."""
        return [_template_of(each) for each in self._images() if each.title]

    def find_template(self, name: str) -> Template | None:
        """The one of that name."""
        return next((each for each in self.list_templates() if each.name == name), None)

    def template_room(self) -> int | None:
        """Bytes left for images; None if that is not known."""
        return ask(self._client.free_storage)

    def import_template(
        self, files: Mapping[str, Path], template: Template, undo: UndoLog, progress: Progress
    ) -> None:
        """Announce, upload under a name with the operation's id (6), and publish as last step."""
        name = f"{template.name}-{undo.operation}.img"
        undo.announce("image", name)
        # YOURS: send it in pieces, and tell of each; `progress` may raise, to stop it.
        content = files["image"].read_bytes()
        progress(0, len(content))
        ask(self._client.upload_image, name, content)
        progress(len(content), len(content))
        ask(self._client.publish_image, name, template.name, json.dumps(asdict(template)))

    def delete_template(self, name: str) -> None:
        """Remove one that no VM was made from."""
        image = next((each for each in self._images() if each.title == name), None)
        if image is None:
            raise NotFoundError(f"there is no template {name!r}", code="template-not-found")
        if not image.note:
            raise NotOursError(
                f"template {name!r} was not brought in by IMS",
                hint="remove it by the hypervisor's own tools",
            )
        ask(self._client.delete_image, image.name)

    def _images(self) -> Collection[Image]:
        return ask(self._client.list_images).values()


def _template_of(image: Image) -> Template:
    # YOURS: where your hypervisor keeps text of ours with an image. If it can keep none, put a file
    # beside it.
    if image.note:
        return Template.from_dict(json.loads(image.note))
    return Template(
        name=image.title,
        format="raw",
        digest=f"sha256:{image.sha256}",
        size=len(image.content),
        virtual_size=len(image.content),
        layout=LAYOUT,
        default_user="root",
    )
