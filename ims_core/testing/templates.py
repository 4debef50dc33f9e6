"""Templates in the pool."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ims_core.errors import ConflictError, NotFoundError
from ims_core.models import Template
from ims_core.names import make_up_name
from ims_core.spi import TemplateStore
from ims_core.testing.bench import Crash, CrashingUndo, changes, everything, new_operation
from ims_core.testing.needs import declared, left_out
from ims_core.undo import Undo

if TYPE_CHECKING:
    from pathlib import Path

    from ims_core.testing.bench import Bench
    from ims_core.testing.target import Target

__all__ = [
    "test_a_crash_while_importing_leaves_nothing",
    "test_a_template_in_use_is_kept",
    "test_a_template_is_imported_listed_and_deleted",
    "test_a_template_of_that_name_is_kept",
    "test_an_unknown_template_is_not_deleted",
    "test_the_given_template_is_listed",
]

SIZE = 1 << 20
SOURCE = 'made by the conformance suite: <é> & "quotes"'
MOST_ANNOUNCEMENTS = 100


def test_the_given_template_is_listed(ims_target: Target) -> None:
    """19. A feature is there exactly when its protocol is: templates are listed with all facts.

    Mend: let `list_templates` return each template with all fields as `import_template` got them:
    keep the whole `Template` beside the image and read it by `Template.from_dict`. Take the
    target's template from this list.
    """
    found = declared(ims_target, TemplateStore).list_templates()
    assert ims_target.template in found, f"list_templates does not have {ims_target.template}"


def test_a_template_is_imported_listed_and_deleted(
    ims_target: Target, ims_bench: Bench, tmp_path: Path
) -> None:
    """19. A feature is there exactly when its protocol is: templates can be kept in the pool.

    Mend: in `import_template`, keep all fields of the template and call `progress` with numbers
    that only grow. In `find_template`, compare whole names. In `delete_template`, remove the image
    and all that was made with it.
    """
    store = declared(ims_target, TemplateStore)
    before = everything(ims_target)
    template = _import(ims_target, ims_bench, tmp_path)
    assert template in store.list_templates(), f"list_templates does not have {template}"
    assert store.find_template(template.name) == template, (
        "find_template answers with something else than was imported"
    )
    assert store.find_template(f"{template.name}-not") is None, (
        "find_template found a name that begins alike"
    )
    store.delete_template(template.name)
    assert everything(ims_target) == before, changes(ims_target, before)
    assert template.name not in [each.name for each in store.list_templates()], (
        "list_templates still has it"
    )


def test_a_template_of_that_name_is_kept(
    ims_target: Target, ims_bench: Bench, tmp_path: Path
) -> None:
    """8. A name that is taken is refused, template names too, and the namesake stays as it was.

    Mend: in `import_template`, look for the name before you make anything, and raise
    `ConflictError` with the code `template-exists`. Put the operation id into the names of the
    files, so that two imports never share one.
    """
    template = _import(ims_target, ims_bench, tmp_path)
    before = everything(ims_target)
    undo = Undo(new_operation())
    late = replace(template, source="somewhere else", operation=undo.operation)
    with pytest.raises(ConflictError) as caught:
        declared(ims_target, TemplateStore).import_template(
            {"image": _image(ims_target, tmp_path)}, late, undo, _quiet
        )
    assert caught.value.code == "template-exists", f"the error's code is {caught.value.code!r}"
    ims_bench.roll_back(undo)
    assert template in declared(ims_target, TemplateStore).list_templates(), (
        "list_templates no longer has the template as it was imported"
    )
    assert everything(ims_target) == before, changes(ims_target, before)


def test_a_template_in_use_is_kept(ims_target: Target, ims_bench: Bench, tmp_path: Path) -> None:
    """13. What a VM needs stays until it is deleted: a template that it depends on is not removed.

    Mend: in `delete_template`, look for VMs that depend on it, for example by the `template` in
    their marks, and raise `ConflictError` with the code `template-in-use` before you remove
    anything. Where disks are full copies it may go.
    """
    template = _import(ims_target, ims_bench, tmp_path)
    spec = replace(ims_bench.spec(), template=template, disk=template.virtual_size)
    order = ims_bench.created(spec)
    store = declared(ims_target, TemplateStore)
    code = ""
    try:
        store.delete_template(template.name)
    except ConflictError as error:
        code = error.code
    assert code in ("", "template-in-use"), f"the error's code is {code!r}"
    assert (template in store.list_templates()) == bool(code), (
        "it was refused, and list_templates no longer has it; or it went, and is still there"
    )
    assert not ims_bench.look(order.uuid).problem, "inspect sees a problem in the VM"
    ims_target.provider.delete(order.uuid)
    if store.find_template(template.name):
        store.delete_template(template.name)


def test_an_unknown_template_is_not_deleted(ims_target: Target) -> None:
    """19. A feature is there exactly when its protocol is: what is missing is not found.

    Mend: in `delete_template`, raise `NotFoundError` with the code `template-not-found` if there is
    neither a template of that name nor anything left of one.
    """
    with pytest.raises(NotFoundError) as caught:
        declared(ims_target, TemplateStore).delete_template("ims-kit-no-such-template")
    assert caught.value.code == "template-not-found", f"the error's code is {caught.value.code!r}"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_crash_while_importing_leaves_nothing(
    ims_target: Target, ims_bench: Bench, tmp_path: Path, recorded: bool
) -> None:
    """6. Before anything is made, it is announced: a template's parts too.

    Mend: in `import_template`, announce each file before you make it, with `undo.operation` in its
    name, and let the last step publish the template. In `discard`, remove each of these by its
    name, and accept that it is not there.
    """
    store, image = declared(ims_target, TemplateStore), _image(ims_target, tmp_path)
    before = everything(ims_target)
    for going_well in range(MOST_ANNOUNCEMENTS):
        undo = CrashingUndo(new_operation(), left=going_well, recorded=recorded)
        template = replace(_template(ims_target, image), operation=undo.operation)
        try:
            store.import_template({"image": image}, template, undo, _quiet)
        except Crash:
            for resource in undo.announced:
                assert undo.operation in resource.name, (
                    f"announced under a name without the operation id: {resource}"
                )
            finished = False
        else:
            finished = True
            assert going_well > 0, "nothing was announced"
        ims_bench.roll_back(undo)
        assert everything(ims_target) == before, (
            f"after a crash at announcement {going_well + 1} and discard:"
            f" {changes(ims_target, before)}"
        )
        assert template.name not in [each.name for each in store.list_templates()], (
            "list_templates still has it"
        )
        if finished:
            return
    pytest.fail(f"more than {MOST_ANNOUNCEMENTS} announcements")


def _import(target: Target, bench: Bench, folder: Path) -> Template:
    """A template of the test's own, removed at its end."""
    store, image = declared(target, TemplateStore), _image(target, folder)
    undo = Undo(new_operation())
    template = replace(_template(target, image), operation=undo.operation)

    def remove() -> None:
        if template.name in [each.name for each in store.list_templates()]:
            store.delete_template(template.name)
        bench.roll_back(undo)

    bench.finally_(remove)
    seen: list[int] = []
    files = {"image": image}
    store.import_template(files, template, undo, lambda done, _total: seen.append(done))
    undo.announced.clear()  # from now on delete_template alone must remove all of it
    assert seen == sorted(seen), "progress went backwards"
    return template


def _image(target: Target, folder: Path) -> Path:
    if target.image is not None:
        return target.image
    if "raw" not in target.provider.features.template_formats:
        left_out("image")
    image = folder / "image.raw"
    image.write_bytes(b"\x55" * SIZE)
    return image


def _template(target: Target, image: Path) -> Template:
    name = make_up_name("ims-kit")
    if image == target.image:
        return replace(target.template, name=name, source=SOURCE)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    return Template(
        name=name,
        format="raw",
        digest=f"sha256:{digest}",
        size=SIZE,
        virtual_size=SIZE,
        layout="bootparams",
        default_user="root",
        min_memory=32 << 20,
        source=SOURCE,
    )


def _quiet(done: int, total: int | None) -> None:
    """Progress that nobody watches."""
