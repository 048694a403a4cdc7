"""Sees to what a worker has claimed: carries a frame on, or performs a call that was handed out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from contextlib import AsyncExitStack

from sequential_adaptor import telemetry
from sequential_adaptor.engine import children, rules
from sequential_adaptor.engine.cancelling import commit_ends
from sequential_adaptor.engine.holding.holder import Holder, Left, Manner
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.queues.porter import Porter
from sequential_adaptor.errors import ClaimLost, RecordNotFound, RegistryError, TaskFunctionNotFound
from sequential_adaptor.outcomes import error_as_json
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage.changes import Claim
from sequential_adaptor.telemetry.logs import RunLogger

logger = RunLogger("sequential_adaptor")

_ELSEWHERE = 30.0


class Attendant:
    """Attends to claims, any number at once.

    ``held`` contains the ids of what is claimed now; ``keeps`` is how many tasks that wait are kept in memory.
    """

    def __init__(self, bench: Workbench, manner: Manner, held: Container[str], *, keeps: int) -> None:
        self._bench = bench
        self._manner = manner
        self._porter = Porter(bench, held)
        self._keeps = keeps
        self._kept: OrderedDict[str, Holder] = OrderedDict()
        self._holders: dict[str, Holder] = {}

    @property
    def lingering(self) -> int:
        """How many frames are held that only wait."""
        return sum(holder.lingering for holder in self._holders.values())

    async def see_to(self, claim: Claim, new: TaskRun | None = None) -> None:
        """Do with a claim what there is to do. ``new`` is its run, where it was created with it a moment ago."""
        await (self._carry(claim, new) if claim.stack_run.is_frame else self._perform(claim))

    def leave(self) -> None:
        """Give back what is held as soon as the calls that are on their way have ended."""
        for holder in self._holders.values():
            holder.leave()

    def extended(self, claim: Claim) -> None:
        """A heartbeat went through."""
        if (holder := self._holders.get(claim.stack_run.id)) is not None:
            holder.extended(claim)

    async def look_at_wakes(self) -> None:
        """Others may have woken frames that are held here."""
        if self._holders:
            for frame in await self._bench.store.query_stack_runs({"id": list(self._holders)}):
                if (holder := self._holders.get(frame.id)) is not None:
                    holder.woken(frame.wakes)

    async def close(self) -> None:
        """Forget the tasks that were kept."""
        async with AsyncExitStack() as stack:
            for holder in self._kept.values():
                stack.push_async_callback(holder.close)
            self._kept.clear()

    # ---- frames

    async def _carry(self, claim: Claim, new: TaskRun | None) -> None:
        frame = claim.stack_run
        if frame.options is not None and not await self._porter.lets_pass(claim):
            return
        run = new or await self._bench.store.get_task_run(frame.task_run_id)
        if run is None:  # somebody has deleted it: then the claim is lost, unless he has left the frame
            changes = rules.left_over(frame, self._bench.clock.now())
            await commit_ends(lambda ends: self._bench.commit(ends, claim), changes)
            return
        if run.ended_at is not None:  # somebody has ended it when this claim had run out
            raise ClaimLost(frame.id, claim.token)
        holder = await self._holder(claim, run, is_new=new is not None)
        if holder is None:
            return
        self._holders[frame.id] = holder
        try:
            left = await self._hold(holder, claim, run)
        except BaseException:
            await holder.close()
            raise
        finally:
            if self._holders.get(frame.id) is holder:  # and not another's, by whom it was claimed anew
                del self._holders[frame.id]
        if left is Left.SUSPENDED:
            await self._keep(frame.id, holder)

    async def _hold(self, holder: Holder, claim: Claim, run: TaskRun) -> Left:
        if telemetry.active is None:
            left = await holder.hold(claim, run)
        else:
            left = await telemetry.active.holding(self._bench.store, claim, run, holder.hold)
        logger.debug("%s: %s", run.task_identifier, left.value)
        return left

    async def _holder(self, claim: Claim, run: TaskRun, *, is_new: bool) -> Holder | None:
        """Who goes on with the frame; ``None`` where nobody can."""
        frame, now = claim.stack_run, self._bench.clock.now()
        kept = self._kept.pop(frame.id, None)
        if kept is not None and kept.can_go_on(claim):
            return kept
        if kept is not None:
            await kept.close()
        function = await self._bench.tools.function(run)
        if rules.is_dead(frame):
            await children.not_taken_up(self._bench, run, claim, rules.dead("run", frame))
        elif function is None:
            error = error_as_json(TaskFunctionNotFound(run.task_identifier, run.version))
            await children.not_taken_up(self._bench, run, claim, error)
        elif await self._has_runner(function.runner, frame):
            return Holder(self._bench, function, self._manner, is_new=is_new)
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
        if len(self._kept) > self._keeps:
            _, oldest = self._kept.popitem(last=False)
            await oldest.close()

    # ---- calls

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
        stored = rules.outcome_stored(call, after)
        try:
            await self._bench.commit(stored, claim)
        except RecordNotFound:  # its frame is gone: nobody is woken, and it is not performed for ever
            await self._bench.commit(stored[:1], claim)
        if (holder := self._holders.get(call.parent_stack_run_id or "")) is not None:
            holder.look_again()
