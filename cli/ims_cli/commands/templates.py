"""``import-template``, ``list-templates`` and ``delete-template``."""

from __future__ import annotations

import re

import click

from ims_cli.connection import connect
from ims_cli.options import pool_options, timeout_option
from ims_cli.output import emit
from ims_cli.plain import template_data
from ims_cli.table import columns, fields

__all__ = ["delete_template", "import_template", "list_templates", "name_from"]

_ENDINGS = re.compile(r"(\.(qcow2|qcow|img|raw|bin|vmdk|vdi|vhd|ova|tgz|tar\.gz))+$", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.]+")
_DASHES_AROUND_DOTS = re.compile(r"[-.]*\.[-.]*")
_LONGEST = 63


def name_from(source: str) -> str:
    """A template's name out of its image's file name; empty if there is none in it."""
    path = source.partition("?")[0].partition("#")[0] if "://" in source else source
    stem = _ENDINGS.sub("", path.replace("\\", "/").rpartition("/")[2])
    plain = _DASHES_AROUND_DOTS.sub(".", _NOT_IN_NAMES.sub("-", stem))
    return plain.strip("-.")[:_LONGEST].strip("-.")


@click.command("import-template")
@click.argument("source")
@click.option("--name", default="", help="Name of the template; out of the file's name if absent.")
@click.option("--sha256", default="", metavar="HEX", help="The digest the image must have.")
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["qcow2", "raw", "vmdk", "vdi", "vhd", "ova", "ovm-template"]),
    help="Found out if absent.",
)
@click.option(
    "--layout",
    default="nocloud",
    show_default=True,
    help="The context layout its guests understand.",
)
@click.option("--default-user", default="", help="Whose account gets the SSH keys in its guests.")
@click.option("--min-memory", default="", metavar="SIZE", help="What its guests need, as 256M.")
@click.option("--boot", default="", metavar="METHOD", help="How its VMs boot; see show-provider.")
@click.option("--kernel", default="", metavar="FILE", help="A kernel that the hypervisor loads.")
@click.option("--ramdisk", default="", metavar="FILE", help="That kernel's initial ramdisk.")
@click.option("--cmdline", default="", metavar="TEXT", help="That kernel's command line.")
@timeout_option(3600, "Give up after this time; a download is resumed by the next attempt.")
@pool_options
def import_template(
    *,
    source: str,
    name: str,
    sha256: str,
    image_format: str | None,
    layout: str,
    default_user: str,
    min_memory: str,
    boot: str,
    kernel: str,
    ramdisk: str,
    cmdline: str,
    timeout: float,
    provider: str,
    pool: str,
    output: str,
    quiet: bool,
) -> None:
    """Bring an image into a pool as a template.

    SOURCE is a disk image (qcow2, raw, VMDK, VDI or VHD), an OVA with one disk, or an Oracle VM
    template (.tgz): a file, or an https URL. qemu-img converts what the provider cannot take.
    """
    from ims_core.units import parse_size  # noqa: PLC0415 - not for --help

    name = name or name_from(source)
    if not name:
        raise click.UsageError(f"no name can be made from {source!r}; give --name")
    needed = parse_size("--min-memory", min_memory) if min_memory else 0
    with connect(quiet=quiet) as ims:
        template = ims.import_template(
            source,
            name,
            provider=provider,
            pool=pool,
            image_format=image_format or "",
            sha256=sha256,
            layout=layout,
            default_user=default_user,
            min_memory=needed,
            boot=boot,
            kernel=kernel,
            ramdisk=ramdisk,
            cmdline=cmdline,
            timeout=timeout,
        )
    data = template_data(template)
    emit(data, output, lambda: fields(_readable(data).items()))


@click.command("list-templates")
@pool_options
def list_templates(*, provider: str, pool: str, output: str, quiet: bool) -> None:
    """List the templates of a pool."""
    with connect(quiet=quiet) as ims:
        found = ims.list_templates(provider=provider, pool=pool)
    data = [template_data(template) for template in found]
    shown = ("name", "format", "layout", "size", "virtual size", "min memory", "default user")
    emit(
        data,
        output,
        lambda: columns(
            [each.upper() for each in shown],
            [[_readable(each)[column] for column in shown] for each in data],
        ),
    )


@click.command("delete-template")
@click.argument("name")
@pool_options
def delete_template(*, name: str, provider: str, pool: str, output: str, quiet: bool) -> None:
    """Remove a template that no VM depends on."""
    with connect(quiet=quiet) as ims:
        ims.delete_template(name, provider=provider, pool=pool)
    emit({"name": name, "deleted": True}, output, lambda: [f"{name} is deleted"])


def _readable(data: dict[str, object]) -> dict[str, object]:
    """The same with sizes for people."""
    from ims_core.units import format_size  # noqa: PLC0415 - for tables only

    readable: dict[str, object] = {}
    for key, value in data.items():
        label = key.removesuffix("_bytes").replace("_", " ")
        is_size = key.endswith("_bytes") and isinstance(value, int)
        readable[label] = format_size(value) if is_size else value  # type: ignore[arg-type]
    return readable
