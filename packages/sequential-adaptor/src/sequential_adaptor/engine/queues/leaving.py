"""How a run leaves its queue for good, before it is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sequential_adaptor import ids
from sequential_adaptor.engine.queues import passes
from sequential_adaptor.engine.queues.entrance import Entrance
from sequential_adaptor.engine.rules import lanes
from sequential_adaptor.engine.rules.steps import GIVEN_BACK
from sequential_adaptor.errors import Conflict, RecordNotFound
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Claim, Update, Wake

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

_WORKER: Final = "sequential delete"
_LEASE: Final = 10.0
_MOMENT: Final = 0.05


async def see_out(store: StorageAdapter, run_id: str) -> None:
    """Have its queue see that a run has ended: the row that is forgotten then is all that tells of the key it held.

    This is the gate's to do, and done under its claim: a gate at work might let somebody wait for that very key.
    """
    while (queue_id := await _queue_of(store, run_id)) is not None:
        try:
            await store.commit((Wake(queue_id),), id=ids.new_id())
        except RecordNotFound:  # the queue is there no more, and nobody waits in it
            return
        claims = await store.claim_stack_runs(_WORKER, limit=1, lease=_LEASE, ids=[queue_id])
        if claims:
            await _give_key_on(store, run_id, claims[0])
        else:  # a worker is at it
            await asyncio.sleep(_MOMENT)


async def _queue_of(store: StorageAdapter, run_id: str) -> str | None:
    frame = await store.get_stack_run(run_id)
    return None if frame is None else lanes.queue_of(frame)


async def _give_key_on(store: StorageAdapter, run_id: str, claim: Claim) -> None:
    """The next that waits for the key may be admitted; the claim is given back, and the queue stays due."""
    entrance = Entrance(store, claim.stack_run.id)
    while (frame := await store.get_stack_run(run_id)) is not None:
        freed = await entrance.freed(replace(await entrance.seen(), gone=[frame]))
        back = Update(StackRun, claim.stack_run.id, {"progress_token": claim.token, **GIVEN_BACK})
        changes = passes.last_of_each([*passes.unparked(freed), *passes.released([frame]), back])
        try:
            await store.commit(changes, claims=[claim], id=ids.new_id())
        except (Conflict, RecordNotFound):  # one of them went its own way meanwhile
            continue
        return
