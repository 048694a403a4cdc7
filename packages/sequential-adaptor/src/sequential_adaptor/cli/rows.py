"""Records as the objects that ``--json`` prints. Times are RFC 3339; a field that people rely on is never renamed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sequential_adaptor.cli import families, flow_states
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, time_to_text
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.cli.querying import Story

_RUN_TIMES = ("created_at", "started_at", "ended_at")
_CALL_TIMES = ("created_at", "due_at", "ended_at")


def run_row(run: TaskRun) -> dict[str, JSON]:
    """A run: ``id, task, status, input, result, error``, and more."""
    return {
        "id": run.id,
        "task": run.task_identifier,
        "status": run.status,
        "input": run.input,
        "result": run.result,
        "error": run.error,
        "runner": run.runner,
        "version": run.version,
        "metadata": run.metadata,
        "parent_call": run.parent_stack_run_id,
        **_times(run, _RUN_TIMES),
    }


def call_row(call: StackRun) -> dict[str, JSON]:
    """A call: ``id, operation, status, result``, and more."""
    return {
        "id": call.id,
        "operation": call.operation,
        "status": call.status,
        "input": call.input,
        "result": call.result,
        "error": call.error,
        "position": call.position,
        "attempts": call.attempts,
        **_times(call, _CALL_TIMES),
    }


def story_row(story: Story) -> dict[str, JSON]:
    """A run with its ``calls``, its ``events`` (timers, events, a cancel), the lines that it printed in ``log``, its
    ``children`` with theirs, the states of its ``flow``, and the ``wait`` for its queue or its start time."""
    calls = [call_row(call) for call in story.calls]
    return {
        **run_row(story.run),
        "calls": calls,
        "events": [call_row(one) for one in story.events],
        "log": [*story.log],
        "children": families.as_json(story.children),
        "flow": flow_states.as_json(story.flow),
        "wait": None if story.wait is None else story.wait.as_json(),
    }


def function_row(function: TaskFunction) -> dict[str, JSON]:
    """A task function, its source apart."""
    return {
        "identifier": function.identifier,
        "version": function.version,
        "runner": function.runner,
        "modules": sorted(function.modules or {}),
        "metadata": function.metadata,
        **_times(function, ("created_at",)),
    }


def _times(record: TaskRun | StackRun | TaskFunction, names: Iterable[str]) -> dict[str, JSON]:
    found = {name: getattr(record, name) for name in names}
    return {name: None if time is None else time_to_text(time) for name, time in found.items()}
