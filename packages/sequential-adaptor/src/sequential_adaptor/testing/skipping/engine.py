"""The engine whose clock is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from sequential_adaptor.engine import Engine, RunHandle
from sequential_adaptor.engine.worker import opened
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.testing.memory import MemoryAdapter
from sequential_adaptor.testing.skipping.adapter import SkippingAdapter
from sequential_adaptor.testing.skipping.carrying import Carrier, Stalled
from sequential_adaptor.testing.skipping.clock import SkippedTime
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.storage import StorageAdapter


class SkippingEngine(Engine):
    """An engine whose clock is skipped: a workflow of 30 days ends in milliseconds.

    ``storage`` is a storage URL, any adapter, one made by :func:`skipped_time` (whose clock it goes on with), or
    ``None`` for the memory of this process. The clock begins at ``start``, an aware datetime, or now.

    Time goes on only within ``run``, ``result``, ``advance`` and ``work``. The whole store is carried on there, and
    when nothing can move any more, the clock jumps to the next timer, retry or start time. What happens, and in which
    order, is what would have happened in real time. While a call is really on its way, time does not jump.
    """

    def __init__(
        self,
        storage: StorageAdapter | str | None = None,
        *,
        services: ServiceClient | None = None,
        start: datetime | None = None,
    ) -> None:
        if start is not None and start.tzinfo is None:
            raise ConfigurationError(f"start {start.isoformat()} has no time zone; use datetime(..., tzinfo=UTC)")
        super().__init__(MemoryAdapter() if storage is None else storage, services=services)
        self._start = start
        self._time = SkippedTime(start)
        self._carrier: Carrier | None = None

    @property
    def now(self) -> datetime:
        """What time it is."""
        return self._time.now()

    async def advance(self, by: timedelta | float) -> None:
        """Let so much time pass, a ``timedelta`` or seconds: all that it brings about happens, in order.

        ``advance(0)`` carries everything as far as it goes now.
        """
        by = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if by < timedelta():
            raise ConfigurationError(f"time cannot go back by {-by}")
        await self._opened_carrier().pursue(None, self.now + by)

    async def submit(self, identifier: str, input: JSON = None, **options: Any) -> SkippingHandle:
        """:meth:`Engine.submit`; the run begins as soon as time goes on."""
        return self.handle((await super().submit(identifier, input, **options)).id)

    def handle(self, run_id: str) -> SkippingHandle:
        """A handle on a run by its id."""
        return SkippingHandle(self, super().handle(run_id).id)

    async def run(
        self, identifier: str, input: JSON = None, *, id: str | None = None, timeout: float | None = None
    ) -> JSON:
        """:meth:`Engine.run`; ``timeout`` is in seconds of the clock that is skipped."""
        return await (await self.submit(identifier, input, id=id)).result(timeout)

    async def carry(self, handle: RunHandle, *, timeout: float | None = None, lease: float = 30.0) -> None:
        """Carry everything on until the run has ended; ``timeout`` is in seconds of the clock that is skipped."""
        limit = None if timeout is None else self.now + timedelta(seconds=timeout)
        try:
            await self._opened_carrier().pursue(handle.id, limit)
        except Stalled:
            raise Stalled(await self._why(handle)) from None

    async def work(self, concurrency: int = 32, lease: float = 30.0, until_idle: bool = False) -> None:
        """Carry everything on until nothing is left that time could bring about."""
        await self._opened_carrier().pursue(None, None)

    def _opened_carrier(self) -> Carrier:
        if self._carrier is None:
            raise ConfigurationError("the engine is not open; use `async with SkippingEngine(...) as engine:`")
        return self._carrier

    async def _why(self, handle: RunHandle) -> str:
        calls = [call for call in await handle.calls() if call.status not in STACK_RUN.ended]
        waits = [call.operation.removeprefix("wait:") for call in calls if call.operation.startswith("wait:")]
        if waits:
            return f"run {handle.id} would wait for ever for the event {waits[0]!r}: `await run.send({waits[0]!r})`"
        return f"run {handle.id} would wait for ever: {_described(calls)}"

    async def __aenter__(self) -> Self:
        given = self._storage
        store = await self._stack.enter_async_context(opened(given))
        skipping = store if isinstance(store, SkippingAdapter) else SkippingAdapter(store, self._time)
        self._time, self._storage = skipping.time, skipping
        try:
            await super().__aenter__()
        finally:
            self._storage = given
        assert self._tools is not None  # it is open now
        self._carrier = Carrier(skipping, self._tools)
        return self


class SkippingHandle(RunHandle):
    """A run in a store whose time is skipped."""

    def __init__(self, engine: SkippingEngine, id: str) -> None:
        super().__init__(engine.adapter, id)
        self._engine = engine

    async def result(self, timeout: float | None = None) -> JSON:
        """Carry everything on until the run has ended, and give its result; ``timeout`` is in skipped seconds.

        Raises :class:`Stalled` where the run would wait for ever: for an event that nobody has sent.
        """
        await self._engine.carry(self, timeout=timeout)
        return await super().result()

    async def fork(self, at: int | str, changes: Mapping[str, Any] | None = None, **options: Any) -> SkippingHandle:
        """:meth:`RunHandle.fork`; the fork begins as soon as time goes on."""
        return self._engine.handle((await super().fork(at, changes, **options)).id)


def _described(calls: list[StackRun]) -> str:
    return "it waits for " + ", ".join(call.operation for call in calls) if calls else "nothing is left to happen"
