"""Runs that tasks start, and how their ends meet."""

from __future__ import annotations

from sequential_adaptor import values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.ledger import Ledger
from sequential_adaptor.engine.workbench import Workbench
from sequential_adaptor.errors import Conflict, RecordExists, TaskFunctionNotFound
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.outcomes import Outcome, error_as_json
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Ending


async def start_child(bench: Workbench, ledger: Ledger, call: StackRun) -> Outcome | None:
    """Put the child's run into the commit of its call; the call's outcome, where it has one at once.

    A detached child belongs to nobody: its call gives its id. A function that is not stored, or an id that is taken,
    ends the call with an error.
    """
    identifier, child_id = call.operation.removeprefix(rules.CHILD), rules.child_id(call)
    detached = bool((call.options or {}).get("detached"))
    existing = await bench.store.get_task_run(child_id)
    if existing is not None:
        same = existing.task_identifier == identifier and values.identical(existing.input, call.input)
        error = error_as_json(RecordExists("TaskRun", child_id))
        return Outcome(result=child_id) if detached and same else Outcome(error=error)
    function = await bench.store.get_task_function(identifier)
    if function is None:
        return Outcome(error=error_as_json(TaskFunctionNotFound(identifier)))
    parent = None if detached else call.id
    ledger.add(rules.submission(function, child_id, call.input, parent_stack_run_id=parent))
    return Outcome(result=child_id) if detached else None


async def cancel_child(bench: Workbench, call: StackRun) -> None:
    """The task no longer waits for a child: ask it to end. Once is enough, so asking again is no error."""
    try:
        await bench.commit(rules.cancel_asked(rules.child_id(call), bench.clock.now()))
    except RecordExists:
        return


async def commit_end(bench: Workbench, ledger: Ledger, ending: Ending) -> None:
    """Commit the end of a run; of a child together with its parent's call, if anybody still waits for that."""
    changes = list(ledger.changes)
    while True:
        now = bench.clock.now()
        call = await _parent_call(bench, ledger)
        met = () if call is None else rules.child_ended(call, ledger.run, ending, now)
        try:
            return await bench.commit([*changes, *met], ledger.claim)
        except Conflict as conflict:
            if call is None or conflict.id != call.id:
                raise


async def _parent_call(bench: Workbench, ledger: Ledger) -> StackRun | None:
    if ledger.run.parent_stack_run_id is None:
        return None
    call = await bench.store.get_stack_run(ledger.run.parent_stack_run_id)
    return None if call is None or call.status in STACK_RUN.ended else call
