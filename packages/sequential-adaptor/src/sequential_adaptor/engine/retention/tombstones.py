"""What is kept of a run that was pruned: its id, where somebody chose that, so that it is not used again by mistake."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sequential_adaptor import ids
from sequential_adaptor.errors import RunPruned
from sequential_adaptor.records import StackRun, TaskRun, time_to_text
from sequential_adaptor.storage.changes import Update

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

KEPT: Final = "pruned"
_LIFTED: Final = "lifted"
_BUCKET: Final = "00000000-0000-7000-8000-7072756e65"
"""The runs to which tombstones belong begin with this. Nobody has one of them; there are 256, so that none is big."""
_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HOUSE_RUN: Final = f"{_BUCKET}00"
HOUSE: Final = f"{HOUSE_RUN}.house.keeping"
"""The record by which workers take turns at pruning. (No run has a dot in its id.)"""


def tombstone_id(run_id: str) -> str:
    """The id of a run's tombstone."""
    return f"{_place(run_id)}.{run_id}"


def tombstone(run: TaskRun, now: datetime) -> StackRun:
    """The tombstone of a run that is about to be forgotten."""
    ended = None if run.ended_at is None else time_to_text(run.ended_at)
    return StackRun(
        id=tombstone_id(run.id),
        task_run_id=_place(run.id),
        operation=KEPT,
        status="completed",
        input={"task": run.task_identifier, "status": run.status, "ended_at": ended},
        created_at=now,
        ended_at=now,
    )


def is_chosen(run: TaskRun) -> bool:
    """Whether somebody may submit the id once more: not where it was made, or comes from the parent's call."""
    of_call = (run.parent_stack_run_id or "").replace(".", "--")
    derived = run.parent_stack_run_id is not None and run.id in (of_call, hashlib.sha256(of_call.encode()).hexdigest())
    return not derived and _UUID7.fullmatch(run.id) is None


async def check_id_is_free(store: StorageAdapter, run_id: str) -> None:
    """Raise :class:`RunPruned` where a run of that id was there once, and was pruned."""
    found = await store.get_stack_run(tombstone_id(run_id))
    if found is not None and found.operation == KEPT:
        about = found.input if isinstance(found.input, dict) else {}
        raise RunPruned(run_id, str(about.get("task")), str(about.get("status")), found.ended_at)


async def lift(store: StorageAdapter, run_id: str) -> bool:
    """Let the id of a pruned run be used again; ``False`` where it was not kept."""
    found = await store.get_stack_run(tombstone_id(run_id))
    if found is None or found.operation != KEPT:
        return False
    await store.commit([Update(StackRun, found.id, {"operation": _LIFTED})], id=ids.new_id())
    return True


def _place(run_id: str) -> str:
    return f"{_BUCKET}{hashlib.sha256(run_id.encode()).digest()[0]:02x}"
