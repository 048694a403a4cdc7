"""Plugins that installed distributions offer by entry points.

Finding them reads metadata and imports nothing; loading one imports its module. One that is broken is reported when it
is asked for, and stands in nobody's way until then.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sequential_adaptor.errors import PluginError
from sequential_adaptor.registry.types import GROUPS, Factory

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

_TYPES = {group: type for type, group in GROUPS.items()}

_NORMAL = re.compile(r"[-_.]+")

_Landscape: TypeAlias = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class _Offer:
    entry_point: EntryPoint
    distribution: str

    def __str__(self) -> str:
        return f"{self.distribution} ({self.entry_point.value})"


@dataclass(frozen=True, slots=True)
class _Offers:
    """What is installed, as it was when ``sys.path`` looked like ``landscape``."""

    landscape: _Landscape
    found: dict[str, dict[str, list[_Offer]]] = field(default_factory=lambda: {type: {} for type in GROUPS})
    unreadable: dict[str, Exception] = field(default_factory=dict)


class EntryPoints:
    """The plugins that are installed. Metadata is read once, and again when ``sys.path`` or its folders change."""

    def __init__(self) -> None:
        self._offers: _Offers | None = None

    def names(self, type: str) -> Iterable[str]:
        return self._read().found[type]

    def find(self, type: str, name: str) -> Factory | None:
        offers = self._read().found[type].get(name)
        if offers is None:
            return None
        if len(offers) > 1:
            both = " and ".join(str(offer) for offer in offers)
            raise PluginError(
                f"{type} {name!r} is offered by {both}: uninstall one of them, or say which one is meant with"
                f" register({type!r}, {name!r}, factory, replace=True)"
            )
        return _load(type, offers[0])

    def unreadable(self) -> dict[str, Exception]:
        """Distributions whose entry points cannot be read, so that nobody knows their names, and why."""
        return self._read().unreadable

    def _read(self) -> _Offers:
        landscape = _landscape()
        offers = self._offers
        if offers is None or offers.landscape != landscape:
            offers = self._offers = _scan(landscape)
        return offers


def _landscape() -> _Landscape:
    """Changes when a distribution is installed or removed."""
    return tuple((folder, _modified(folder or os.curdir)) for folder in sys.path)


def _modified(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _scan(landscape: _Landscape) -> _Offers:
    from importlib.metadata import distributions

    offers = _Offers(landscape)
    seen: set[str] = set()
    for distribution in distributions():
        try:
            if "[sequential_adaptor." not in (distribution.read_text("entry_points.txt") or ""):
                continue
            # The first one on sys.path is what an import finds; the others of its name are hidden.
            name = _NORMAL.sub("-", distribution.metadata["Name"]).lower()
            if name not in seen:
                seen.add(name)
                _add(offers, distribution)
        except Exception as error:  # whatever is wrong with one distribution must not hide the others
            offers.unreadable[_title(distribution)] = error
    return offers


def _add(offers: _Offers, distribution: Distribution) -> None:
    title = _title(distribution)
    for entry_point in [each for each in distribution.entry_points if each.group in _TYPES]:
        same_name = offers.found[_TYPES[entry_point.group]].setdefault(entry_point.name, [])
        same_name.append(_Offer(entry_point, title))


def _title(distribution: Distribution) -> str:
    """Name and version, as far as they can be read."""
    try:
        return f"{distribution.metadata['Name']} {distribution.version}"
    except Exception:  # whatever is wrong with its metadata
        return "a distribution without a name"


def _load(type: str, offer: _Offer) -> Factory:
    name = offer.entry_point.name
    try:
        factory = offer.entry_point.load()
    except Exception as error:
        reason = f"{error.__class__.__name__}: {error}"
        raise PluginError(f"{type} {name!r} of {offer} cannot be loaded: {reason}") from error
    if not callable(factory):
        raise PluginError(f"{type} {name!r} of {offer} is not callable: {factory!r}")
    found: Factory = factory
    return found
