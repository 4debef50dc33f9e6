"""Finding plugins by entry point, with stevedore.

Only the plugin that is asked for is imported. A listing imports all of them, because only then
can it say which are broken; a broken one breaks nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from typing import TYPE_CHECKING, Any

from ims_core.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from ims_bootparams.layouts import Layout
    from ims_core.placement import Strategy
    from ims_core.spi import Provider

__all__ = [
    "LAYOUTS",
    "PLACEMENT",
    "PROVIDERS",
    "Plugin",
    "layout",
    "placement",
    "plugins",
    "provider_class",
]

PROVIDERS = "ims.providers"
LAYOUTS = "ims.layouts"
PLACEMENT = "ims.placement"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point, the distribution that declares it, and what it loads.

    Attributes:
        broken: Why it cannot be used; empty when it can.
        loaded: The object; None when it is broken.
    """

    name: str
    distribution: str
    target: str
    broken: str = ""
    loaded: Any = None


def provider_class(name: str) -> type[Provider]:
    """The provider of that name, loaded.

    Raises:
        NotFoundError: ``provider-not-found``; the hint lists those that exist.
        ConfigError: Two distributions have one of that name, or it cannot be imported.
    """
    found: type[Provider] = _load(PROVIDERS, "provider", name)
    return found


def layout(name: str) -> Layout:
    """The context layout of that name, loaded; raises as :func:`provider_class` does."""
    found: Layout = _load(LAYOUTS, "layout", name)
    return found


def placement(name: str) -> Strategy:
    """The placement strategy of that name, loaded; raises as :func:`provider_class` does."""
    found: Strategy = _load(PLACEMENT, "placement", name)
    return found


def plugins(group: str) -> list[Plugin]:
    """Every plugin of a group, sorted by name, broken ones included with the reason."""
    points = _declared(group)
    counts = Counter(point.name for _, point in points)
    found = []
    for distribution, point in points:
        broken, loaded = "", None
        if counts[point.name] > 1:
            broken = f"declared by {_owners(group, point.name)}; uninstall one of them"
        else:
            try:
                loaded = _checked(group, point.name, point.load())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign module's own
                known = isinstance(error, ConfigError)
                broken = str(error) if known else f"{type(error).__name__}: {error}"
                loaded = None
        found.append(Plugin(point.name, distribution, point.value, broken, loaded))
    return found


def _load(group: str, kind: str, name: str) -> Any:
    from stevedore import DriverManager  # noqa: PLC0415 - 50 ms that --help must not pay
    from stevedore.exception import MultipleMatches, NoMatches  # noqa: PLC0415

    try:
        try:
            found: Any = DriverManager(group, name, on_load_failure_callback=_fail).driver
        except NoMatches:
            points = {point.name: point for _, point in _declared(group)}
            if name not in points:
                raise
            found = points[name].load()  # it was installed since stevedore wrote its cache
        return _checked(group, name, found)
    except NoMatches:
        known = sorted({point.name for _, point in _declared(group)})
        raise NotFoundError(
            f"there is no {kind} {name!r}",
            code=f"{kind}-not-found",
            hint=f"known: {', '.join(known) or 'none'} (entry points of the group {group})",
        ) from None
    except MultipleMatches:
        raise ConfigError(
            f"{kind} {name!r} is declared by {_owners(group, name)}",
            code=f"{kind}-ambiguous",
            hint="uninstall one of them",
        ) from None
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign module's own
        cause = error.__cause__ if isinstance(error, _BrokenPluginError) else error
        raise ConfigError(
            f"{kind} {name!r} cannot be loaded: {type(cause).__name__}: {cause}",
            code=f"{kind}-broken",
            hint=f"pip install 'ims[{name}]', or reinstall {_owners(group, name)}",
        ) from cause


def _checked(group: str, name: str, found: Any) -> Any:
    """What a plugin's entry point must be.

    Raises:
        TypeError: With what it is not.
        ConfigError: ``provider-spi``.
    """
    if group == LAYOUTS:
        from ims_bootparams.layouts import Layout  # noqa: PLC0415 - not for a listing of providers

        if not isinstance(found, Layout) or found.name != name:
            raise TypeError(f"it is no Layout named {name!r}")
    elif group == PLACEMENT:
        from ims_core.placement import Strategy  # noqa: PLC0415 - as above

        if isinstance(found, type) or not isinstance(found, Strategy):
            raise TypeError("it is no object with a method rank")
    else:
        from ims_core.spi import Provider  # noqa: PLC0415 - as above

        if not (isinstance(found, type) and issubclass(found, Provider)):
            raise TypeError("it is no subclass of ims_core.Provider")
        _check_version(name, found)
        if missing := sorted(found.__abstractmethods__):
            raise TypeError(f"it lacks {', '.join(missing)}")
        if getattr(found, "name", None) != name:
            raise TypeError(f"its name is not {name!r}")
    return found


def _check_version(name: str, found: type[Provider]) -> None:
    """A provider for another SPI is refused, instead of failing somewhere in the middle.

    Raises:
        ConfigError: ``provider-spi``.
    """
    from ims_core.spi import SPI_VERSION  # noqa: PLC0415 - not for a listing of layouts

    written = str(getattr(found, "spi", ""))
    if not re.fullmatch(r"[0-9]{1,6}\.[0-9]{1,6}", written):
        raise ConfigError(
            f"provider {name!r} does not say which SPI it was written for",
            code="provider-spi",
            hint=f'its author adds `spi = "{SPI_VERSION}"` to {found.__name__}',
        )
    its, ours = (tuple(map(int, version.split("."))) for version in (written, SPI_VERSION))
    if its[0] != ours[0] or its > ours:
        raise ConfigError(
            f"provider {name!r} was written for SPI {written}, and this IMS has {SPI_VERSION}",
            code="provider-spi",
            hint="upgrade IMS" if its > ours else f"install a version of it for SPI {SPI_VERSION}",
        )


class _BrokenPluginError(Exception):
    """Carries a plugin's own failure out of stevedore."""


def _fail(_manager: object, point: EntryPoint, error: BaseException) -> None:
    raise _BrokenPluginError(point.name) from error


def _declared(group: str) -> list[tuple[str, EntryPoint]]:
    """Entry points with their distributions, which stevedore's cache does not keep."""
    found = {
        (point.name, distribution.metadata["Name"] or "?", point.value): point
        for distribution in distributions()
        for point in distribution.entry_points
        if point.group == group
    }
    return [(distribution, point) for (_, distribution, _), point in sorted(found.items())]


def _owners(group: str, name: str) -> str:
    return " and ".join(dist for dist, point in _declared(group) if point.name == name)
