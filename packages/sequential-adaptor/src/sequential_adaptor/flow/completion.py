"""Entering states: their operations in order, and what follows when a final one completes its parent or the machine."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeGuard

from sequential_adaptor.flow.chart import COMPOUND, FINAL, PARALLEL, State
from sequential_adaptor.flow.running import Operation, Run
from sequential_adaptor.values import JSON


def completed(entered: list[State], by_default: Collection[State], stays: set[State], into: list[Operation]) -> bool:
    """Add what entering does to ``into``; whether the machine is done after it."""
    active, finished, done = set(stays), set[State](), False
    for state in entered:
        active.add(state)
        into += state.enter
        if state in by_default:
            into += state.start
        if state.kind == FINAL:
            last = _done_events(state, active, finished, into)
            if last is not None:
                into.append(_finish(last, state))
                done = True
    return done


def _done_events(state: State, active: set[State], finished: set[State], into: list[Operation]) -> State | None:
    """Add the done events; the state whose completion completes the machine, if this one does."""
    parent = state.parent
    ancestor = parent if parent is None or parent.kind == PARALLEL else parent.parent
    last = ancestor or state
    if parent is not None and parent.kind == COMPOUND:
        into.append(_raise_done(parent, state))
    while _completes(ancestor, active) and ancestor not in finished:
        finished.add(ancestor)
        into.append(_raise_done(ancestor, ancestor))
        last, ancestor = ancestor, ancestor.parent
    return last if ancestor is None else None


def _completes(state: State | None, active: set[State]) -> TypeGuard[State]:
    return state is not None and state.kind == PARALLEL and _is_final(state, active)


def _is_final(state: State, active: set[State]) -> bool:
    if state.kind == COMPOUND:
        return any(child.kind == FINAL and child in active for child in state.regions)
    if state.kind == PARALLEL:
        return all(_is_final(child, active) for child in state.regions)
    return state.kind == FINAL


def _raise_done(parent: State, final: State) -> Operation:
    return lambda run: run.queue.append(_done_event(parent, _output(run, final)))


def _done_event(parent: State, output: JSON) -> dict[str, JSON]:
    return {"type": f"xstate.done.state.{parent.id}", "output": output}


def _output(run: Run, final: State) -> JSON:
    return final.output(run) if final.output is not None and final.parent is not None else None


def _finish(last: State, final: State) -> Operation:
    """The machine's output: what it declares, else its final state's, else what the event that led there carried."""
    root = last
    while root.parent is not None:
        root = root.parent

    def finish(run: Run) -> None:
        run.status = "done"
        if root.output is not None:
            event, run.event = run.event, _done_event(last, _output(run, last))
            run.output = root.output(run)
            run.event = event
        elif last is final and final.output is not None:
            run.output = final.output(run)
        elif last is final:
            run.output = run.event.get("output")

    return finish
