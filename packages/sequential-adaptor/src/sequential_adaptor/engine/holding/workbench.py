"""What the holders of a worker share: the store, its clock, the tools, the hands that perform calls."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sequential_adaptor import ids, telemetry
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.clock import StoreClock
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.holding.unstored import Unstored
from sequential_adaptor.engine.working.agenda import Agenda
from sequential_adaptor.errors import Conflict, RecordExists, RecordNotFound, StorageError, StorageUnavailable
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Change, Claim

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

_PAGE = 10_000
_ENDED = sorted(STACK_RUN.ended)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_PATIENCE = 30.0
"""Seconds for which a commit that no claim bounds is sent to a store that is away."""


class Hands:
    """So many calls at once, and the rest in the order in which they came: ``async with hands:``."""

    def __init__(self, count: int) -> None:
        self.free = count
        self._semaphore = asyncio.Semaphore(count)

    async def __aenter__(self) -> None:
        await self._semaphore.acquire()
        self.free -= 1

    async def __aexit__(self, *_: object) -> None:
        self.free += 1
        self._semaphore.release()


class Workbench:
    """Shared by the holders of one worker.

    ``hands`` bounds how many calls are performed at once. ``scope`` holds the ids of the stack runs that this worker
    may claim; ``None`` is all of them. ``agenda`` has the times at which its own commits make something due,
    ``unstored`` the runs that its next commits are to store first.
    """

    def __init__(self, store: StorageAdapter, tools: Tools, *, hands: int, scope: Iterable[str] | None = None) -> None:
        self.store = store
        self.tools = tools
        self.hands = Hands(hands)
        self.scope = None if scope is None else set(scope)
        self.agenda = Agenda()
        self.unstored = Unstored()
        self.clock: StoreClock

    async def open(self) -> None:
        """Have the store's clock."""
        self.clock = await self.tools.clock()

    async def history(self, frame: StackRun) -> list[StackRun]:
        """Everything below the frame, in one query a page."""
        return await self._below(frame, None)

    async def arrivals(self, frame: StackRun) -> list[StackRun]:
        """What has ended below the frame and is not yet taken."""
        return await self._below(frame, {"position": None, "status": _ENDED})

    async def commit(self, changes: Sequence[Change], *claims: Claim) -> None:
        """Commit. A reply that is lost, or a store that is away, is answered by the same commit once more, while claims
        last; half a minute where there are none.
        """
        if submitted := self.unstored.changes(claims):
            await self._commit_first(submitted, changes, *claims)
        else:
            await self._write(changes, claims, claims)
        if telemetry.active is not None:
            telemetry.active.committed(changes)
        self.agenda.note(changes, self.clock.now)

    async def _commit_first(self, submitted: Sequence[Change], changes: Sequence[Change], claim: Claim) -> None:
        """Commit, and store the run that the claim is on: there is nothing yet that somebody else could have claimed.

        What is refused because of another record keeps the run from going on, and not from being stored.
        """
        id = claim.stack_run.id
        if self.unstored.try_now(id) and await self.store.get_stack_run(id) is not None:
            self.unstored.is_stored(id)
            return await self._write(changes, (claim,), (claim,))
        try:
            await self._write(rules.folded([*submitted, *changes], self.clock.now()), (), (claim,))
        except (Conflict, RecordExists, RecordNotFound) as error:
            await self._store_alone(submitted, claim, error)
            raise Conflict(StackRun.__name__, id, "status", "pending", str(error)) from error
        except Exception as error:
            self.unstored.failed(id, error)
            raise
        return self.unstored.is_stored(id)

    async def _store_alone(self, submitted: Sequence[Change], claim: Claim, refusal: StorageError) -> None:
        try:
            await self._write(submitted, (), (claim,))
        except Exception:
            self.unstored.failed(claim.stack_run.id, refusal)
            raise
        self.unstored.is_stored(claim.stack_run.id)

    async def _write(self, changes: Sequence[Change], held: Sequence[Claim], claims: Sequence[Claim]) -> None:
        id = ids.new_id()
        pause = _FIRST_PAUSE
        deadline = math.inf if claims else time.monotonic() + _PATIENCE
        while True:
            try:
                return await self.store.commit(changes, claims=held, id=id)
            except StorageUnavailable:
                if time.monotonic() > deadline or any(claim.expires_at <= self.clock.now() for claim in claims):
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def watch(self, *stack_run_ids: str) -> None:
        """Let this process claim these too, where it may not claim everything."""
        if self.scope is not None:
            self.scope.update(stack_run_ids)

    async def _below(self, frame: StackRun, more: dict[str, object] | None) -> list[StackRun]:
        filter = {"parent_stack_run_id": frame.id, **(more or {})}
        page = await self.store.query_stack_runs(filter, limit=_PAGE)
        found = list(page)
        while page.cursor is not None:
            page = await self.store.query_stack_runs(filter, limit=_PAGE, cursor=page.cursor)
            found += page
        if telemetry.active is not None:
            telemetry.active.read(frame, found)
        return found
