"""What the options that all commands share have been set to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sequential_adaptor.engine import Engine

R = TypeVar("R")


@dataclass
class Settings:
    """``storage`` is a storage URL or ``None``. Each may be said before or after the command."""

    storage: str | None = None
    as_json: bool = False
    debug: bool = False
    way_on: str = ""
    """What to say when Ctrl-C ends the command."""

    @staticmethod
    def current() -> Settings:
        """Those of the command that is running."""
        return click.get_current_context().ensure_object(Settings)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        """An engine on the storage that was meant, open."""
        from sequential_adaptor.engine import Engine

        async with Engine(self.storage) as engine:
            yield engine


def with_engine(act: Callable[[Engine], Awaitable[R]]) -> R:
    """Do something with an engine on the storage that was meant, and close it."""
    settings = Settings.current()

    async def opened() -> R:
        async with settings.engine() as engine:
            return await act(engine)

    return run_async(opened)


def run_async(main: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a command's coroutine to its end; Ctrl-C cancels it, lets it clean up, and becomes ``KeyboardInterrupt``."""
    return asyncio.run(main())
