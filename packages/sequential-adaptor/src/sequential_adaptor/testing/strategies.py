"""Hypothesis strategies for what goes into a store: few names and values, so that the interesting ones meet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import HealthCheck
from hypothesis import strategies as st

from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, field_names
from sequential_adaptor.storage import Change, Create, Update, Wake
from sequential_adaptor.values import JSON

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PATIENT: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
"""What a slow store is not blamed for."""

INSTANTS: Final = (_LONG_AGO, _LONG_AGO + timedelta(microseconds=1), datetime(2190, 1, 1, tzinfo=UTC))

RUN_IDS: Final = st.sampled_from(["r1", "r2"])
STACK_IDS: Final = st.sampled_from(["r1", "r1.1", "r2"])
WORKERS: Final = st.sampled_from(["w1", "w2"])
CODES: Final = st.sampled_from(["1", "2", "3"])
LIMITS: Final = st.none() | st.integers(1, 3)
KEYS: Final = st.sampled_from(["k1", "k2"])
commit_ids: Final = st.sampled_from([f"c{n}" for n in range(1, 9)])
payloads: Final = st.sampled_from(
    [None, 0, False, "", [], {}, 1, 1.0, True, -0.0, [0], {"a": 1, "b": 2}, {"b": 2, "a": 1}, "𝄞\u0000", 10**700]
)
_times: Final = st.none() | st.sampled_from(INSTANTS)
_past: Final = st.sampled_from(INSTANTS[:2])

_TASK_RUN: Final[dict[str, st.SearchStrategy[Any]]] = {
    "status": st.sampled_from(TASK_RUN.states),
    "input": payloads,
    "result": payloads,
    "parent_stack_run_id": st.none() | STACK_IDS,
    "started_at": _times,
}
_STACK_RUN: Final[dict[str, st.SearchStrategy[Any]]] = {
    "status": st.sampled_from(STACK_RUN.states),
    "input": payloads,
    "state": payloads,
    "position": st.none() | st.integers(0, 2),
    "attempts": st.integers(0, 2),
    "wakes": st.integers(0, 1),
    "due_at": _times,
    "worker": st.none() | WORKERS,
    "lease_expires_at": _times,
    "ended_at": _times,
}


def json_values(max_leaves: int = 12) -> st.SearchStrategy[JSON]:
    """Any value that storage keeps, the simplest first."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    integers = st.integers() | st.integers(min_value=-(10**700), max_value=10**700)
    leaves = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | text
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=max_leaves,
    )


def changes(kind: type) -> st.SearchStrategy[dict[str, Any]]:
    """A few fields of a record, with values for them."""
    fields = _TASK_RUN if kind is TaskRun else _STACK_RUN
    return st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
    )


def _task_run(id: str, created_at: datetime, fields: dict[str, Any]) -> TaskRun:
    return TaskRun(id=id, task_identifier="digest", created_at=created_at, **fields)


def _stack_run(id: str, operation: str, created_at: datetime, fields: dict[str, Any]) -> StackRun:
    return StackRun(id=id, task_run_id=id[:2], operation=operation, created_at=created_at, **fields)


IN_THE_BEGINNING: Final = (
    _task_run("r1", INSTANTS[0], {}),
    _stack_run("r1", "task_init", INSTANTS[0], {"status": "suspended_waiting_child", "due_at": INSTANTS[2]}),
    _stack_run("r1.1", "fetch", INSTANTS[0], {}),
)
task_runs: Final = st.builds(_task_run, RUN_IDS, _past, changes(TaskRun))
stack_runs: Final = st.builds(_stack_run, STACK_IDS, st.sampled_from(["fetch", "task_init"]), _past, changes(StackRun))


def _updates(kind: type[TaskRun | StackRun], ids: st.SearchStrategy[str]) -> st.SearchStrategy[Update]:
    return st.builds(Update, st.just(kind), ids, changes(kind), st.just({}) | changes(kind))


committed: Final[st.SearchStrategy[list[Change]]] = st.lists(
    st.builds(Create, task_runs)
    | st.builds(Create, stack_runs)
    | _updates(TaskRun, RUN_IDS)
    | _updates(StackRun, STACK_IDS)
    | st.builds(Wake, STACK_IDS),
    max_size=4,
)
some_claims: Final = st.lists(st.integers(0, 9), max_size=2)


def filters(kind: type) -> st.SearchStrategy[dict[str, Any]]:
    """A filter. Payload values are wrapped in a list, since a list in a filter means any of its values."""
    fields = _TASK_RUN if kind is TaskRun else _STACK_RUN
    wanted = {
        name: st.lists(values, max_size=3) if name in JSON_FIELDS[kind] else values | st.lists(values, max_size=3)
        for name, values in {**fields, "id": RUN_IDS if kind is TaskRun else STACK_IDS}.items()
    }
    return st.lists(st.sampled_from(sorted(wanted)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: wanted[name] for name in names})
    )


def orders(kind: type) -> st.SearchStrategy[str]:
    """A field that records can be ordered by; `updated_at` is the store's own business."""
    return st.sampled_from([name for name in field_names(kind) if name not in JSON_FIELDS[kind] | {"updated_at"}])
