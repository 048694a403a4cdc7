"""What ``create_adapter(...)`` and ``create_runner(...)`` return: to be awaited, or entered with ``async with``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from sequential_adaptor.errors import SequentialError
from sequential_adaptor.registry.creation import close, close_after

T = TypeVar("T")


class Opening(Generic[T]):
    """Something that is not made yet.

    ``await`` makes it and leaves closing to the caller; ``async with`` makes it and closes it whatever happens. Nothing
    happens before, and an error on closing never hides the error that led there.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._made: list[T] = []

    def __await__(self) -> Generator[Any, Any, T]:
        return self._make().__await__()

    async def __aenter__(self) -> T:
        if self._made:
            raise SequentialError("entered twice; call create_adapter(...) or create_runner(...) once for each")
        made = await self._make()
        self._made.append(made)
        return made

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        made = self._made.pop()
        if error is None:
            await close(made)
        else:
            await close_after(error, made)
