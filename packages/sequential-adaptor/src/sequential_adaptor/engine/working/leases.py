"""Keeps claims alive while their holders work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sequential_adaptor import telemetry
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.errors import StorageError
from sequential_adaptor.storage.changes import Claim
from sequential_adaptor.telemetry.logs import RunLogger

logger = RunLogger("sequential_adaptor")


@dataclass(slots=True)
class _Held:
    claim: Claim
    extended: Callable[[Claim], None]
    lost: Callable[[], object]


class Leases:
    """The claims of one worker, each extended to ``lease`` seconds three times within that time."""

    def __init__(self, bench: Workbench, lease: float) -> None:
        self._bench = bench
        self._lease = lease
        self._held: dict[str, _Held] = {}

    def __iter__(self) -> Iterator[Claim]:
        return iter([held.claim for held in self._held.values()])

    def add(self, claim: Claim, *, extended: Callable[[Claim], None], lost: Callable[[], object]) -> None:
        """Keep a claim alive; ``extended`` is told of each heartbeat, ``lost`` when it is no longer held."""
        self._held[claim.stack_run.id] = _Held(claim, extended, lost)

    def discard(self, stack_run_id: str) -> None:
        """The claim is given back."""
        self._held.pop(stack_run_id, None)

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Extend what is held, for as long as the context lasts."""
        beat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.wait((beat,))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            if self._held:
                try:
                    await self._extend()
                except StorageError as error:
                    logger.warning("leases could not be extended: %s", error)
                except Exception:  # whatever went wrong with one of them, the others are to be kept
                    logger.exception("leases could not be extended")

    async def _extend(self) -> None:
        before = {id: held.claim for id, held in self._held.items() if id not in self._bench.unstored}
        asked = self._bench.clock.asked()
        after = await self._bench.store.heartbeat(list(before.values()), lease=self._lease)
        kept = {claim.stack_run.id: claim for claim in after}
        if after:
            self._bench.clock.set(after[0].expires_at - timedelta(seconds=self._lease), asked)
        for id, claim in before.items():
            held = self._held.get(id)
            if held is None or held.claim is not claim:
                continue  # it ended, or was claimed anew, while the heartbeat was on its way
            if id in kept:
                held.claim = kept[id]
                held.extended(kept[id])
            else:
                if telemetry.active is not None:
                    telemetry.active.lease_lost(claim)
                held.lost()
