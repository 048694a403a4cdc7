"""Runs that tasks start, and how their ends meet."""

from __future__ import annotations

from sequential_adaptor.engine import rules
from sequential_adaptor.engine.ledger import Ledger
from sequential_adaptor.engine.workbench import Workbench
from sequential_adaptor.errors import Conflict, RecordExists
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Ending


async def start_child(bench: Workbench, ledger: Ledger, call: StackRun) -> Outcome | None:
    """Put the child's run into the commit of its call; the call's outcome where there is no such function."""
    identifier = call.operation.removeprefix(rules.CHILD)
    function = await bench.store.get_task_function(identifier)
    if function is None:
        message = f"no task function {identifier!r} is stored; publish it: sequential publish FILE --name {identifier}"
        return Outcome(error={"type": "TaskFunctionNotFound", "message": message})
    ledger.add(rules.submission(function, rules.child_id(call), call.input, parent_stack_run_id=call.id))
    return None


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
