"""User-data and vendor-data as cloud-init takes them, and what the receipt is judged by."""

from __future__ import annotations

import codecs
import re
import shlex
import zlib
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ims_bootparams.guest import cloud_init_receipt
from ims_bootparams.layouts.cloud_init.config import identity, steps, written
from ims_bootparams.layouts.cloud_init.mime import Part, multipart
from ims_bootparams.layouts.cloud_init.yaml import to_yaml
from ims_core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ims_core.models import Context

__all__ = [
    "CHECKS_FILE",
    "answering_user_data",
    "answers_by_user_data",
    "cloud_config",
    "expectations",
    "own_config",
    "user_data",
    "vendor_data",
]

CHECKS_FILE = "ims.checks"
"""On the medium: what the receipt is judged by, as lines of the receipt script's words."""

# The user's own part comes first: where both say the same, the user's word stands, and lists are
# one after the other. (cloud-init, "Merging user-data sections")
_MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
_HEADER = b"#cloud-config"
_HEAD = 4096  # bytes in which cloud-init looks for the header of a message
_GZIP = b"\x1f\x8b"
# As cloud-init judges: it looks at the beginning only, and tells no case from the other.
_KIND = re.compile(rb"\s*#cloud-config(?!-archive|-jsonp)", re.IGNORECASE)
_MOST_YAML = 1 << 20
_DEEPEST_YAML = 100
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def user_data(context: Context, config: Mapping[str, Any]) -> bytes:
    """The user-data for a configuration of ours and what the user gave.

    Raw user-data alone is passed byte for byte; beside our configuration it is the first part of
    a message.

    Args:
        context: Valid.
        config: Ours; empty if there is nothing that only user-data can say.

    Raises:
        InvalidError: ``context.user_data`` is no valid cloud-config though it says it is one, or is
            a message already and our configuration would have to go into it.
    """
    given = context.user_data
    if given is None:
        return cloud_config(config)
    _check(given)
    if not config:
        return given
    if _is_message(given):
        raise InvalidError(
            "context.user_data: it is a MIME message, so nothing can be added to it",
            hint=f"Leave out what would be added ({', '.join(config)}), or write it in there.",
        )
    kind = "application/gzip" if given.startswith(_GZIP) else "text/plain"
    return multipart(
        Part(kind, given), Part("text/cloud-config", cloud_config(config), merge=_MERGE)
    )


def answering_user_data(context: Context, label: str, more: Mapping[str, Any] = _NOTHING) -> bytes:
    """The user-data for readers that have no vendor-data.

    Beside the rest it says what vendor-data would: whom the keys belong to and, where the user-data
    is ours alone, how to answer.

    Args:
        context: Valid.
        label: Of the medium.
        more: What this layout has no other place for, as cloud-config.

    Raises:
        InvalidError: As :func:`user_data`.
    """
    config = {**own_config(context), **more}
    if context.user_data is None:
        script = cloud_init_receipt(label, CHECKS_FILE).decode()
        config["bootcmd"] = [["sh", "-c", script]]
    elif context.ssh_keys or any(user.name == context.default_user for user in context.users):
        config |= identity(context)
    return user_data(context, config)


def answers_by_user_data(context: Context) -> bool:
    """Whether :func:`answering_user_data` makes the guest answer."""
    return context.user_data is None


def _is_message(given: bytes) -> bool:
    """Whether cloud-init would take it for a MIME message; as it judges, and what was meant so."""
    head = given[:_HEAD]
    if given.startswith(_GZIP):
        with suppress(zlib.error):
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(given, _HEAD)
    head = head.lower()
    return b"mime-version:" in head or head.lstrip().startswith(b"content-type:")


def cloud_config(config: Mapping[str, Any]) -> bytes:
    """A configuration as a cloud-config file."""
    return _HEADER + b"\n" + (to_yaml(config) if config else b"")


def vendor_data(context: Context, label: str, checks: str = CHECKS_FILE) -> bytes:
    """What is said beside the user's own data: how to answer, and whom the keys belong to.

    Args:
        context: Valid.
        label: Of the medium.
        checks: Where on it :data:`CHECKS_FILE` is.
    """
    # A changed address is to be applied though the instance-id stays; see "updates" in
    # cloud-init's manual.
    config: dict[str, Any] = {"updates": {"network": {"when": ["boot-new-instance", "boot"]}}}
    if context.user_data is not None:
        config |= identity(context)
    script = b"#cloud-boothook\n" + cloud_init_receipt(label, checks)
    return multipart(
        Part("text/cloud-config", cloud_config(config)), Part("text/cloud-boothook", script)
    )


def expectations(context: Context) -> bytes:
    """The content of :data:`CHECKS_FILE` (``guest/parts/cloud-init.sh`` reads it)."""
    return "".join(f"expect {shlex.join(words)}\n" for words in _expected(context)).encode()


def _expected(context: Context) -> Iterator[tuple[str, ...]]:
    yield "hostname", "hostname", context.hostname
    for index, card in enumerate(context.interfaces):
        yield "interface", f"interfaces.{index}", card.mac, *card.addresses
    for index, user in enumerate(context.users):
        yield "user", f"users.{index}", user.name
    for name in steps(context):
        yield "step", name


def own_config(context: Context, *, all_files: bool = True) -> dict[str, Any]:
    """All that user-data of ours has to say (see :func:`~.config.written`)."""
    config = written(context, all_files=all_files)
    if context.user_data is None:
        config |= identity(context)
    return config


def _check(given: bytes) -> None:
    """Refuse what says it is a cloud-config and is none; any other kind is the guest's matter."""
    if given.startswith(codecs.BOM_UTF8 + b"#"):
        raise InvalidError(
            "context.user_data: it begins with a byte order mark, so cloud-init does not see what"
            " it is",
            hint="Save it as UTF-8 without one.",
        )
    if not _KIND.match(given):
        return
    if len(given) > _MOST_YAML:
        return  # cloud-init would take minutes for it as well, and nobody writes that by hand
    import yaml  # noqa: PLC0415  (only for those who bring their own)

    try:
        text = given.decode()
        loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
        if _unfolds(yaml.parse(text, Loader=loader)):
            return  # what its aliases may unfold to is not tried here
        content = yaml.load(text, Loader=loader)  # noqa: S506 - a safe one
    except UnicodeDecodeError:
        raise _invalid("it is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _invalid(f"it is not valid YAML{place}") from None
    except (ValueError, LookupError, AttributeError, OverflowError):  # PyYAML's own, of scalars
        raise _invalid("a value in it is not of the type that YAML takes it for") from None
    if content is not None and not isinstance(content, dict):
        raise _invalid("it is no mapping of keys to values")


def _unfolds(events: Iterable[Any]) -> bool:
    """Whether there are aliases; what nests too deep for readers that recurse is refused."""
    depth, aliases = 0, False
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST_YAML:
            raise _invalid(f"it nests more than {_DEEPEST_YAML} levels deep")
        aliases = aliases or kind == "AliasEvent"
    return aliases


def _invalid(problem: str) -> InvalidError:
    return InvalidError(
        f"context.user_data: {problem}, though it begins with #cloud-config",
        hint="`cloud-init schema --config-file FILE` tells more.",
    )
