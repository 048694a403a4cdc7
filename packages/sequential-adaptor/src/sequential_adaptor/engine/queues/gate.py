"""The gate of a queue: whoever holds the claim of its frame admits runs, and nobody else does.

So a limit over all workers is exact: two never admit at once, and one whose claim has run out is refused. What is on
its way is read from storage each time, never counted along, so nothing that happens to a run leaves a slot taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.queues import admission, passes
from sequential_adaptor.engine.queues.admission import Memory
from sequential_adaptor.engine.queues.entrance import Entrance
from sequential_adaptor.engine.queues.passes import GATE
from sequential_adaptor.engine.queues.settings import QueueSettings
from sequential_adaptor.engine.rules.steps import GIVEN_BACK
from sequential_adaptor.errors import ClaimLost, Conflict, RecordNotFound
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Change, Claim, Update

_ROUNDS: Final = 100
_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class _Round:
    """What one look at the queue leads to; ``again``: there is more to see to at once."""

    changes: list[Change]
    memory: Memory
    next_look: datetime | None
    again: bool


class Gate:
    """One claim of a queue's frame."""

    def __init__(self, bench: Workbench, claim: Claim) -> None:
        self._bench = bench
        self._claim = claim
        self._frame = claim.stack_run
        self._entrance = Entrance(bench.store, claim.stack_run.id)
        self._page = 0

    async def serve(self) -> None:
        """Admit whoever may be, until nobody may.

        Usually one commit admits and gives the claim back. Where so much arrives meanwhile that it is refused, runs
        are admitted first, and the claim is kept for another look.
        """
        crowded = False
        for _ in range(_ROUNDS):
            found = await self._look()
            kept = found.again or (crowded and bool(found.changes))
            try:
                await self._commit(found, kept)
            except (Conflict, RecordNotFound):  # it was woken or changed, or a run went its own way or was deleted
                crowded = True
            else:
                if not kept:
                    return
            await self._reread()
        await self._bench.commit((self._update({"due_at": self._bench.clock.now(), **GIVEN_BACK}, {}),), self._claim)

    async def _look(self) -> _Round:
        settings = QueueSettings.from_json(self._frame.options[GATE])
        now = await self._now(settings)
        memory = Memory.from_json(self._frame.state)
        seen = await self._entrance.seen()
        freed = await self._entrance.freed(seen)
        inside = [passes.ticket(row) for row in seen.inside]
        room = admission.room(settings, memory, inside, now)
        stopped = settings.paused or (settings.limit is not None and len(inside) >= settings.limit)
        waiting = [] if stopped else await self._entrance.waiting(seen, freed, max(room + 1, self._page))
        keys = await self._entrance.keys_held(waiting)
        rows = {row.id: row for row in waiting if not passes.has_ended(row)}
        decision = admission.decide(settings, memory, inside, keys, map(passes.ticket, rows.values()), now)
        changes = [
            *passes.released(seen.gone),
            *passes.given_up(row for row in waiting if passes.has_ended(row)),
            *passes.unparked(freed),
            *passes.admitted([rows[one.id] for one in decision.admitted], settings, now),
            *passes.parked([rows[one.id] for one in decision.parked]),
        ]
        if self._frame.wakes != memory.wakes:
            changes += passes.recalled(seen.inside, now)
        if decision.parked:  # there may be many of one key: they are seen to once, and in few commits
            self._page = _PAGE
        again = bool(decision.parked) or len(rows) < len(waiting) or seen.more_gone
        memory = replace(decision.memory, wakes=self._frame.wakes)
        return _Round(passes.last_of_each(changes), memory, decision.next_look, again)

    async def _commit(self, found: _Round, kept: bool) -> None:
        fields: dict[str, Any] = {"progress_token": self._frame.token}
        if found.memory.to_json() != self._frame.state:
            fields["state"] = found.memory.to_json()
        expect: dict[str, Any] = {"options": self._frame.options}
        if not kept:
            fields |= {"due_at": found.next_look, **GIVEN_BACK}
            expect["wakes"] = self._frame.wakes
        await self._bench.commit((*found.changes, self._update(fields, expect)), self._claim)

    async def _now(self, settings: QueueSettings) -> datetime:
        """The store's time; asked for where a rate depends on it, and workers' ideas of it may differ a little."""
        return self._bench.clock.now() if settings.rate is None else await self._bench.store.now()

    async def _reread(self) -> None:
        frame = await self._bench.store.get_stack_run(self._frame.id)
        if frame is None:  # the queue was deleted, and the claim is gone with it
            raise ClaimLost(self._frame.id, self._claim.token)
        self._frame = frame

    def _update(self, fields: dict[str, Any], expect: dict[str, Any]) -> Update:
        return Update(StackRun, self._frame.id, fields, expect)
