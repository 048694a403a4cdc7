"""Which service stands behind an alias: one registered here, one that an installed plug-in offers, or an endpoint."""

from __future__ import annotations

import asyncio
import inspect
import math
from dataclasses import dataclass

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.services.endpoints import check_endpoint, check_service_name


@dataclass(frozen=True, slots=True)
class Service:
    """A service; ``attempts`` and ``timeout`` are ``None`` where the general ones hold."""

    alias: str
    endpoint: object
    attempts: int | None = None
    timeout: float | None = None
    idempotency: bool = True

    def __post_init__(self) -> None:
        check_service_name("service", self.alias)
        check_endpoint(self.alias, self.endpoint)
        if self.attempts is not None and (type(self.attempts) is not int or self.attempts < 1):
            raise ConfigurationError(f"attempts is {self.attempts!r}; it is a count of 1 or more")
        if self.timeout is not None:
            check_timeout(self.timeout)


class Directory:
    """The services of one client."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}
        self._made: dict[str, object] = {}
        self._making = asyncio.Lock()

    def add(self, service: Service) -> None:
        """Register a service in place of the one before."""
        self._services[service.alias] = service

    def aliases(self) -> list[str]:
        """The aliases that were used or registered, sorted."""
        return sorted(self._services)

    def known(self, alias: str) -> Service | None:
        """The service registered under an alias."""
        return self._services.get(alias)

    async def find(self, alias: str) -> Service:
        """The service of an alias; a plug-in's is made at its first use, and what nobody knows is an endpoint."""
        found = self._services.get(alias)
        if found is not None:
            return found
        endpoint = Service(alias, alias)
        from sequential_adaptor import registry

        if not registry.has("service", alias):
            return self._services.setdefault(alias, endpoint)
        async with self._making:
            if alias not in self._services:
                self._made[alias] = await registry.create("service", alias)
                limit = getattr(self._made[alias], "call_timeout", None)
                self._services[alias] = Service(alias, self._made[alias], timeout=limit)
            return self._services[alias]

    async def aclose(self) -> None:
        """Close what was made here."""
        for alias, made in list(self._made.items()):
            del self._made[alias]
            self._services.pop(alias, None)
            await _close(made)


async def _close(made: object) -> None:
    for name in ("aclose", "close", "dispose"):
        closing = getattr(made, name, None)
        if callable(closing):
            closed = closing()
            if inspect.isawaitable(closed):
                await closed
            return


def check_timeout(timeout: object) -> float:
    """A time limit in seconds, or :class:`ConfigurationError`."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ConfigurationError(f"timeout is {timeout!r}; it is a number of seconds above 0")
    return timeout
