"""Claims what is due, and has each claim seen to: the loop of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

from sequential_adaptor import telemetry
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.holder import Manner
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.working.attending import Attendant
from sequential_adaptor.engine.working.leases import Leases
from sequential_adaptor.engine.working.listening import Listener
from sequential_adaptor.errors import ClaimLost, StorageError, StorageUnavailable
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Claim
from sequential_adaptor.telemetry.logs import RunLogger, about

logger = RunLogger("sequential_adaptor")

POLL = 0.5
"""Seconds after which due work is looked for even when nothing says that there is any."""
_LOOK = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_FIRST_CHECK, _LONGEST_CHECK = 0.005, 0.25
_GRACE_WHEN_CANCELLED = 1.0
_PATIENCE_WITH_TASKS = 5.0
_AFTER_AN_ERROR = 5.0


class Dispatcher:
    """Claims up to ``concurrency`` stack runs at once under leases of ``lease`` seconds, and carries each on."""

    def __init__(
        self, bench: Workbench, worker: str, *, concurrency: int, lease: float, manner: Manner | None = None
    ) -> None:
        self._bench = bench
        self._worker = worker
        self._concurrency = concurrency
        self._lease = lease
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._attendant = Attendant(bench, manner or Manner(), self._jobs, keeps=concurrency * 2)
        self._leases = Leases(bench, lease)
        self._listener = Listener(bench.store, POLL)
        self._looked_at = 0.0
        self._asked_at = 0.0
        self._away = _FIRST_PAUSE
        self._check = _FIRST_CHECK
        self._more_is_due = True
        self._woken_unread = False
        self._stopping = False
        self.moved = 0

    def stop(self) -> None:
        """Claim no more, end what is on its way, and give back the rest."""
        self._stopping = True
        self._listener.stirred.set()
        self._attendant.leave()

    def holds(self, id: str) -> bool:
        """Whether it has claimed that stack run."""
        return id in self._jobs

    @property
    def is_busy(self) -> bool:
        """Whether it has claimed anything."""
        return bool(self._jobs)

    def begin(self, claim: Claim, run: TaskRun) -> None:
        """Carry on what was submitted and claimed in one, a moment ago, before anything else is claimed."""
        self._more_is_due = False
        self._asked_at = time.monotonic()
        self._listener.wait_a_moment()
        self._start(claim, run)

    async def run(
        self,
        *,
        until: Callable[[], bool] | None = None,
        is_over: Callable[[], Awaitable[bool]] | None = None,
        grace: float = 10.0,
    ) -> None:
        """Work until ``stop()``, or ``until()``, or ``is_over()``: it is asked now and then when nothing is due."""
        self._bench.agenda.noted = self._listener.stirred.set
        async with self._leases.beating():
            try:
                while not self._stopping and not (until is not None and until()):
                    if await self._look_for_work(is_over):
                        break
            except asyncio.CancelledError:
                grace = min(grace, _GRACE_WHEN_CANCELLED)
                raise
            finally:
                self.stop()
                await self._leave(grace)

    async def _look_for_work(self, is_over: Callable[[], Awaitable[bool]] | None) -> bool:
        """Claim what there is, or rest; say whether it is over. A store that is away is waited for."""
        self._listener.stirred.clear()
        try:
            if await self._claim():
                self._check = _FIRST_CHECK
            elif is_over is not None and await is_over():
                return True
            else:
                await self._rest(POLL if is_over is None else self._check)
                self._check = min(self._check * 1.5, _LONGEST_CHECK)
            self._away = _FIRST_PAUSE
        except StorageUnavailable as error:
            logger.warning("%s; it is tried again in %g seconds", error, self._away)
            await asyncio.sleep(self._away)
            self._away = min(self._away * 2, _LONGEST_PAUSE)
        return False

    async def see_to(self, ids: Collection[str] | None, *, limit: int = 1) -> list[StackRun]:
        """Claim what is due now, among ``ids`` only where they are given; see to it once, and return it."""
        async with self._leases.beating():
            claims = await self._claims_of(limit, ids)
            for claim in claims:
                self._start(claim)
            try:
                if claims:
                    await asyncio.wait(self._jobs.values())
            finally:
                await self._leave(_GRACE_WHEN_CANCELLED)
            return [claim.stack_run for claim in claims]

    # ---- claiming

    async def _claim(self) -> bool:
        """Claim what is due, if anything may be."""
        room = self._concurrency - (len(self._jobs) - self._attendant.lingering)
        if self._bench.agenda.has_come(self._bench.clock.now()) or time.monotonic() - self._asked_at >= POLL:
            self._more_is_due = True
        if not self._more_is_due or room <= 0 or self._bench.scope == set():
            return False
        self._more_is_due = False
        try:
            claims = await self._claims_of(room, self._bench.scope)
        except BaseException:
            self._more_is_due = True
            raise
        self._asked_at = time.monotonic()
        self._more_is_due |= len(claims) == room
        for claim in claims:
            self._start(claim)
            self._listener.is_worthwhile()
        return bool(claims)

    async def _claims_of(self, limit: int, ids: Collection[str] | None) -> list[Claim]:
        asked = self._bench.clock.asked()
        claims = await self._bench.store.claim_stack_runs(self._worker, limit=limit, lease=self._lease, ids=ids)
        if claims:
            self._bench.clock.set(claims[0].expires_at - timedelta(seconds=self._lease), asked)
            if telemetry.active is not None:
                telemetry.active.claimed(claims, self._bench.clock.now())
        return claims

    def _start(self, claim: Claim, new: TaskRun | None = None) -> None:
        id = claim.stack_run.id
        if (stale := self._jobs.get(id)) is not None:  # its lease ran out before it noticed
            stale.cancel()
        job = asyncio.create_task(self._see_to(claim, new), name=f"sequential {id}")
        self._jobs[id] = job
        self._leases.add(claim, extended=self._attendant.extended, lost=job.cancel)

    async def _rest(self, longest: float) -> None:
        """Wait until there may be work: storage says so, a job has ended, or a while has passed."""
        now = time.monotonic()
        next_look = self._looked_at + _LOOK if self._woken_unread else now + longest
        longest = max(0.0, min(now + longest, self._asked_at + POLL, next_look) - now)
        if await self._listener.heard(self._bench.agenda.seconds(self._bench.clock.now(), longest)):
            self._more_is_due = self._woken_unread = True
        if self._woken_unread and time.monotonic() - self._looked_at >= _LOOK:
            self._looked_at, self._woken_unread = time.monotonic(), False
            await self._attendant.look_at_wakes()

    # ---- seeing to a claim

    async def _see_to(self, claim: Claim, new: TaskRun | None) -> None:
        id = claim.stack_run.id
        about(claim.stack_run.task_run_id)
        try:
            await self._attendant.see_to(claim, new)
            self.moved += 1
        except ClaimLost:
            logger.info("%s: the claim was lost; somebody else goes on with it", id)
        except StorageError as error:
            logger.warning("%s: %s", id, error)
        except Exception:
            logger.exception("%s: could not go on; it is tried again in %g seconds", id, _AFTER_AN_ERROR)
            with contextlib.suppress(StorageError):
                await self._bench.commit(
                    rules.put_off(claim.stack_run, _AFTER_AN_ERROR, self._bench.clock.now()), claim
                )
        finally:
            if self._jobs.get(id) is asyncio.current_task():  # and not another, by whom it was claimed anew
                del self._jobs[id]
                self._leases.discard(id)
            self._listener.stirred.set()

    # ---- leaving

    async def _leave(self, grace: float) -> None:
        """Let what is on its way end, give back the rest, and forget all of it. Who is cancelled meanwhile leaves it to
        the ends of the leases, and forgets it all the same.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._listener.close)
            stack.push_async_callback(self._attendant.close)
            stack.push_async_callback(self._end_jobs)
            await self._give_back(grace)

    async def _give_back(self, grace: float) -> None:
        """Let what is on its way end; after ``grace`` seconds give it back as it is."""
        if not self._jobs:
            return
        await asyncio.wait(self._jobs.values(), timeout=grace)
        late = list(self._leases)
        await self._end_jobs()
        now = self._bench.clock.now()
        for claim in late:
            with contextlib.suppress(StorageError):
                await self._bench.commit(rules.given_back(claim.stack_run, now), claim)

    async def _end_jobs(self) -> None:
        """End them where they are. A task that blocks its thread is not waited for."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=_PATIENCE_WITH_TASKS)
