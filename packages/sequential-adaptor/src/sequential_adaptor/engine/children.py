"""Runs that tasks start, and how their ends meet."""

from __future__ import annotations

import contextlib
from datetime import datetime

from sequential_adaptor import values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.cancelling import ask_to_end, commit_ends
from sequential_adaptor.engine.endings import endings_of
from sequential_adaptor.engine.holding.ledger import Ledger
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.queues import desk, places
from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.engine.retention.tombstones import check_id_is_free
from sequential_adaptor.errors import (
    ConfigurationError,
    Conflict,
    QueueNotFound,
    RecordExists,
    RecordNotFound,
    RunPruned,
    TaskFunctionNotFound,
)
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.outcomes import Outcome, error_as_json
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, time_from_text
from sequential_adaptor.runners.base import Ending
from sequential_adaptor.storage.changes import Claim
from sequential_adaptor.values import JSON


async def start_child(bench: Workbench, ledger: Ledger, call: StackRun) -> Outcome | None:
    """Put the child's run into the commit of its call; the call's outcome, where it has one at once.

    A detached child belongs to nobody: its call gives its id. A function that is not stored, or an id that is taken,
    ends the call with an error.
    """
    identifier, child_id = call.operation.removeprefix(rules.CHILD), rules.child_id(call)
    detached = bool((call.options or {}).get("detached"))
    existing = ledger.begins(child_id) or await bench.store.get_task_run(child_id)
    if existing is None and (call.options or {}).get("id") is not None:
        try:
            await check_id_is_free(bench.store, child_id)
        except RunPruned as pruned:
            return Outcome(error=error_as_json(pruned))
    if existing is not None:
        same = existing.task_identifier == identifier and values.identical(existing.input, call.input)
        error = error_as_json(RecordExists("TaskRun", child_id))
        return Outcome(result=child_id) if detached and same else Outcome(error=error)
    function = await bench.store.get_task_function(identifier)
    if function is None:
        return Outcome(error=error_as_json(TaskFunctionNotFound(identifier)))
    try:
        place = await _place(bench, call, function)
    except (ConfigurationError, QueueNotFound) as refused:
        return Outcome(error=error_as_json(refused))
    parent = None if detached else call.id
    at = _start_time(call)
    start = None if at is None or at <= bench.clock.now() else at
    ledger.add(places.submission(function, child_id, call.input, place=place, at=start, parent_stack_run_id=parent))
    return Outcome(result=child_id) if detached else None


async def _place(bench: Workbench, call: StackRun, function: TaskFunction) -> Place | None:
    """The place of a child in the queue that its call names, else in the function's own."""
    asked = call.options or {}
    place = desk.place_of(function.metadata, asked.get("queue"), asked.get("priority"), asked.get("key"))
    if place is not None:
        await desk.check_place(bench.store, place)
        bench.watch(place.queue_id)
    return place


def _start_time(call: StackRun) -> datetime | None:
    at = (call.options or {}).get("at")
    return None if at is None else time_from_text(at)


async def cancel_child(bench: Workbench, call: StackRun) -> None:
    """The task no longer waits for a child: ask it to end, if anything is left of it."""
    with contextlib.suppress(RecordNotFound):
        await ask_to_end(bench.store, bench.commit, rules.child_id(call), bench.clock.now())


async def not_taken_up(bench: Workbench, run: TaskRun, claim: Claim, error: JSON) -> None:
    """A run fails before its code is reached: its calls end, its children are asked to, and its parent is told."""
    ending = Ending("failed", error=error)
    left = {"type": "CancelledError", "message": "the task ended without it"}
    while True:
        ledger = Ledger(run, claim, await bench.history(claim.stack_run))
        calls = [call for call in ledger.calls.values() if call.status not in STACK_RUN.ended]
        for call in filter(rules.is_child, calls):
            await cancel_child(bench, call)
        ledger.add(rules.left_open(calls, bench.clock.now(), left))
        ledger.end(ending, bench.clock.now())
        try:
            return await commit_end(bench, ledger, ending)
        except Conflict:
            continue  # one of the calls has ended meanwhile


async def commit_end(bench: Workbench, ledger: Ledger, ending: Ending) -> None:
    """Commit the end of a run; of a child together with its parent's call, if anybody still waits for that."""
    changes = list(ledger.changes)
    while True:
        now = bench.clock.now()
        call = await _parent_call(bench, ledger)
        met = () if call is None else rules.child_ended(call, ledger.run, ending, now)
        try:
            await commit_ends(lambda ends: bench.commit(ends, ledger.claim), (*changes, *met))
            return endings_of(bench.store).announce(ledger.run)
        except Conflict as conflict:
            if call is None or conflict.id != call.id:
                raise


async def _parent_call(bench: Workbench, ledger: Ledger) -> StackRun | None:
    if ledger.run.parent_stack_run_id is None:
        return None
    call = await bench.store.get_stack_run(ledger.run.parent_stack_run_id)
    return None if call is None or call.status in STACK_RUN.ended else call
