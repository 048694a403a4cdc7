"""How much a command is kept from the machine: ``none``, ``bwrap``, ``overlay``."""

from __future__ import annotations

import os
from collections.abc import Iterable

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.isolation.bare import NoIsolation
from sequential_adaptor.runners.container.isolation.base import Isolation, Place
from sequential_adaptor.runners.container.isolation.bubblewrap import Bubblewrap
from sequential_adaptor.runners.container.isolation.overlay import OverlayIsolation

ISOLATIONS: dict[str, type[Isolation]] = {
    isolation.name: isolation for isolation in (NoIsolation, Bubblewrap, OverlayIsolation)
}

__all__ = ["ISOLATIONS", "Bubblewrap", "Isolation", "NoIsolation", "OverlayIsolation", "Place", "make_isolation"]


def make_isolation(
    name: str, *, network: bool | None = None, binds: Iterable[str | os.PathLike[str]] = ()
) -> Isolation:
    """The isolation of that name, or :class:`ConfigurationError`. ``network`` and ``binds`` are for ``bwrap``."""
    if name not in ISOLATIONS:
        raise ConfigurationError(f"no isolation {name!r} (there are: {', '.join(ISOLATIONS)})")
    if isinstance(binds, (str, bytes, os.PathLike)):
        raise ConfigurationError(f"binds is {binds!r}; it is a list of paths")
    if name == Bubblewrap.name:
        return Bubblewrap(network=bool(network), binds=binds)
    if network is not None or list(binds):
        raise ConfigurationError(f"network and binds are for isolation 'bwrap'; {name!r} has the machine's own")
    return ISOLATIONS[name]()
