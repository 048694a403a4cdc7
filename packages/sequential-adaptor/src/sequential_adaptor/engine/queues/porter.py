"""Stands where a worker begins with a claim, and sees to those that are not simply carried on."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from sequential_adaptor.engine import children, rules
from sequential_adaptor.engine.holding.ledger import Ledger
from sequential_adaptor.engine.queues import passes, places
from sequential_adaptor.engine.queues.gate import Gate
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.engine.schedules.clerk import SCHEDULE, Clerk
from sequential_adaptor.errors import ClaimLost, Conflict, RecordNotFound
from sequential_adaptor.runners.base import Ending

if TYPE_CHECKING:
    from sequential_adaptor.engine.holding.workbench import Workbench
    from sequential_adaptor.storage.changes import Claim

_CANCELLED = {"type": "CancelledError", "message": "cancelled before it began"}


class Porter:
    """Asked about each claimed frame that has ``options``: a queue's, a schedule's, or a run's that goes through one.

    ``held`` contains the ids of the frames that the worker is carrying now.
    """

    def __init__(self, bench: Workbench, held: Container[str]) -> None:
        self._bench = bench
        self._held = held
        self._seats: dict[str, str] = {}

    async def lets_pass(self, claim: Claim) -> bool:
        """Whether the worker may go on with the frame; where not, it was seen to, and the claim is given back."""
        frame = claim.stack_run
        if passes.GATE in frame.options:
            await Gate(self._bench, claim).serve()
        elif SCHEDULE in frame.options:
            await Clerk(self._bench, claim).serve()
        elif places.is_early(frame, self._bench.clock.now()) or not lanes.is_admitted(frame):
            await self._send_back(claim)
        else:
            return await self._has_seat(claim)
        return False

    # ---- those that were woken too early

    async def _send_back(self, claim: Claim) -> None:
        """An event, a cancel or its start time has made it due, and not its queue."""
        frame = claim.stack_run
        asked = await self._bench.store.get_stack_run(rules.cancel_id(frame.id))
        if asked is not None and not rules.is_undone(asked):
            await self._end(claim)
            return
        now, queue_id = self._bench.clock.now(), lanes.queue_of(frame)
        has_queue = queue_id is not None and await self._bench.store.get_stack_run(queue_id) is not None
        try:
            await self._bench.commit(places.back_to_place(frame, now, has_queue=has_queue), claim)
        except (Conflict, RecordNotFound):  # it was admitted, or woken, or its queue deleted, at this very moment
            await self._bench.commit(rules.given_back(frame, now), claim)

    async def _end(self, claim: Claim) -> None:
        run = await self._bench.store.get_task_run(claim.stack_run.task_run_id)
        if run is None:  # it was deleted at this very moment
            raise ClaimLost(claim.stack_run.id, claim.token)
        ledger, ending = Ledger(run, claim, ()), Ending("cancelled", error=_CANCELLED)
        ledger.end(ending, self._bench.clock.now())
        await children.commit_end(self._bench, ledger, ending)

    # ---- so many per worker

    async def _has_seat(self, claim: Claim) -> bool:
        frame = claim.stack_run
        place: Any = lanes.queued(frame) or {}
        most = place.get(passes.PER_WORKER)
        if most is None:
            return True
        self._seats = {id: name for id, name in self._seats.items() if id in self._held and id != frame.id}
        if sum(name == place["name"] for name in self._seats.values()) < most:
            self._seats[frame.id] = place["name"]
            return True
        await self._bench.commit((passes.bounced(frame, self._bench.clock.now()),), claim)
        return False
