"""Claims what is due, and sees to each claim: the loop of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import timedelta

from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding import Holder, Left, Manner
from sequential_adaptor.engine.idling import is_idle
from sequential_adaptor.engine.leases import Leases
from sequential_adaptor.engine.workbench import Workbench
from sequential_adaptor.errors import ClaimLost, RegistryError, StorageError, StorageUnavailable, TaskFunctionNotFound
from sequential_adaptor.outcomes import error_as_json
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Claim

logger = logging.getLogger("sequential_adaptor")

POLL = 0.5
"""Seconds after which due work is looked for even when nothing says that there is any."""
_QUIET = 0.1
_DEBOUNCE, _LONGEST_DEBOUNCE = 0.005, 0.05
_LOOK = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_GRACE_WHEN_CANCELLED = 1.0
_ELSEWHERE = 30.0
_AFTER_AN_ERROR = 5.0
_IDLE_CHECK = 0.25


class Dispatcher:
    """Claims up to ``concurrency`` stack runs at once under leases of ``lease`` seconds, and carries each on."""

    def __init__(
        self, bench: Workbench, worker: str, *, concurrency: int, lease: float, manner: Manner | None = None
    ) -> None:
        self._bench = bench
        self._worker = worker
        self._concurrency = concurrency
        self._lease = lease
        self._manner = manner or Manner()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._leases = Leases(bench, lease)
        self._holders: dict[str, Holder] = {}
        self._kept: OrderedDict[str, Holder] = OrderedDict()
        self._changed = asyncio.Event()
        self._looked_at = 0.0
        self._debounce = 0.0
        self._away = _FIRST_PAUSE
        self._stopping = False
        self.moved = 0
        self.stirred = asyncio.Event()

    def stop(self) -> None:
        """Claim no more, end what is on its way, and give back the rest."""
        self._stopping = True
        self._changed.set()
        for holder in self._holders.values():
            holder.leave()

    async def run(
        self, *, until_idle: bool = False, until: Callable[[], bool] | None = None, grace: float = 10.0
    ) -> None:
        """Work until ``stop()``, until ``until()`` is true, or with ``until_idle`` until nothing is left to do soon."""
        async with self._leases.beating():
            try:
                while not self._stopping and not (until is not None and until()):
                    if await self._look_for_work(until_idle):
                        break
            except asyncio.CancelledError:
                grace = min(grace, _GRACE_WHEN_CANCELLED)
                raise
            finally:
                self.stop()
                await self._finish(grace)
                await self._forget()

    async def _look_for_work(self, until_idle: bool) -> bool:
        """Claim what there is, or rest; say whether nothing is left to do. A store that is away is waited for."""
        try:
            claimed = await self._claim()
            if not claimed and until_idle and not self._jobs and await is_idle(self._bench):
                return True
            if not claimed:
                await self._rest(_IDLE_CHECK if until_idle else POLL)
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
            await asyncio.gather(*self._jobs.values())
            await self._forget()
            return [claim.stack_run for claim in claims]

    # ---- claiming

    async def _claim(self) -> bool:
        active = len(self._jobs) - sum(holder.lingering for holder in self._holders.values())
        room = self._concurrency - active
        if room <= 0 or self._bench.scope == set():
            return False
        claims = await self._claims_of(room, self._bench.scope)
        for claim in claims:
            self._start(claim)
            self._debounce = 0.0
        return bool(claims)

    async def _claims_of(self, limit: int, ids: Collection[str] | None) -> list[Claim]:
        claims = await self._bench.store.claim_stack_runs(self._worker, limit=limit, lease=self._lease, ids=ids)
        if claims:
            self._bench.clock.set(claims[0].expires_at - timedelta(seconds=self._lease))
        return claims

    def _start(self, claim: Claim) -> None:
        id = claim.stack_run.id
        if (stale := self._jobs.get(id)) is not None:  # its lease ran out before it noticed
            stale.cancel()
        job = asyncio.create_task(self._see_to(claim), name=f"sequential {id}")
        self._jobs[id] = job
        self._leases.add(claim, extended=self._extended, lost=job.cancel)

    def _extended(self, claim: Claim) -> None:
        if (holder := self._holders.get(claim.stack_run.id)) is not None:
            holder.extended(claim)

    async def _rest(self, longest: float) -> None:
        """Wait until there may be work: storage says so, a job has ended, or a while has passed.

        After a quiet while a claim follows at once. What stirs again and again and brings nothing is looked at more
        rarely: in a busy store most of what happens makes nothing due.
        """
        began = time.monotonic()
        self._changed.clear()
        work = asyncio.create_task(self._bench.store.wait_for_work(self._bench.rest(longest)))
        change = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((work, change), return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
            work.cancel()
            await asyncio.wait((work, change))
        if not work.cancelled():
            work.result()
            await self._look_at_wakes()
        quiet = time.monotonic() - began > _QUIET
        self._debounce = 0.0 if quiet else min(max(self._debounce * 2, _DEBOUNCE), _LONGEST_DEBOUNCE)
        await asyncio.sleep(self._debounce)

    async def _look_at_wakes(self) -> None:
        """Others may have woken frames that are held here."""
        now = time.monotonic()
        if self._holders and now - self._looked_at > _LOOK:
            self._looked_at = now
            for frame in await self._bench.store.query_stack_runs({"id": list(self._holders)}):
                if (holder := self._holders.get(frame.id)) is not None:
                    holder.woken(frame.wakes)

    # ---- seeing to a claim

    async def _see_to(self, claim: Claim) -> None:
        id = claim.stack_run.id
        try:
            await (self._carry(claim) if claim.stack_run.is_frame else self._perform(claim))
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
                self._holders.pop(id, None)
                self._leases.discard(id)
            self._changed.set()
            self.stirred.set()

    async def _carry(self, claim: Claim) -> None:
        frame = claim.stack_run
        run = await self._bench.store.get_task_run(frame.task_run_id)
        assert run is not None  # a frame is created in the commit that creates its run
        holder = await self._holder(claim, run)
        if holder is None:
            return
        self._holders[frame.id] = holder
        if await holder.hold(claim, run) is Left.SUSPENDED:
            await self._keep(frame.id, holder)

    async def _holder(self, claim: Claim, run: TaskRun) -> Holder | None:
        """Who goes on with the frame; ``None`` where nobody can."""
        frame, now = claim.stack_run, self._bench.clock.now()
        kept = self._kept.pop(frame.id, None)
        if kept is not None and kept.can_go_on(claim):
            return kept
        if kept is not None:
            await kept.close()
        function = await self._bench.tools.function(run)
        if rules.is_dead(frame):
            await self._bench.commit(rules.not_taken_up(run, frame, rules.dead("run", frame), now), claim)
        elif function is None:
            error = error_as_json(TaskFunctionNotFound(run.task_identifier, run.version))
            await self._bench.commit(rules.not_taken_up(run, frame, error, now), claim)
        elif await self._has_runner(function.runner, frame):
            return Holder(self._bench, function, self._manner)
        else:
            await self._bench.commit(rules.put_off(frame, _ELSEWHERE, now), claim)
        return None

    async def _has_runner(self, name: str, frame: StackRun) -> bool:
        try:
            await self._bench.tools.runner(name)
        except RegistryError as error:
            logger.warning("%s is left to a worker that has its runner: %s", frame.id, error)
            return False
        return True

    async def _keep(self, id: str, holder: Holder) -> None:
        """Keep the task in memory: if nobody else goes on with it in between, it need not be replayed."""
        self._kept[id] = holder
        if len(self._kept) > self._concurrency * 2:
            _, oldest = self._kept.popitem(last=False)
            await oldest.close()

    async def _forget(self) -> None:
        for holder in self._kept.values():
            await holder.close()
        self._kept.clear()

    async def _perform(self, claim: Claim) -> None:
        """Perform a call that was handed out, and wake its frame."""
        call = claim.stack_run
        if rules.is_dead(call):
            outcome = rules.dead_outcome(call)
        else:
            async with self._bench.hands:
                outcome = await self._bench.tools.performer.perform(call)
        now = self._bench.clock.now()
        failures = call.attempts + (outcome.retryable or outcome.error is not None)
        delay = (
            self._bench.tools.performer.policy(call).delay(failures, outcome.retry_after) if outcome.retryable else None
        )
        if delay is not None:
            await self._bench.commit((rules.tried_again_later(call, delay, failures, now, outcome.error),), claim)
            return
        after = rules.call_ended(call.replace(attempts=failures), outcome, now)
        await self._bench.commit(rules.outcome_stored(call, after), claim)
        if (holder := self._holders.get(call.parent_stack_run_id or "")) is not None:
            holder.look_again()

    async def _finish(self, grace: float) -> None:
        """Let what is on its way end; after ``grace`` seconds give it back as it is."""
        jobs = list(self._jobs.values())
        if not jobs:
            return
        await asyncio.wait(jobs, timeout=grace)
        late = list(self._leases)
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)
        now = self._bench.clock.now()
        for claim in late:
            with contextlib.suppress(StorageError):
                await self._bench.commit(rules.given_back(claim.stack_run, now), claim)
