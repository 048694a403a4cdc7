"""Plain commits, which are written all at once, are stored and refused as they would be one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from parts.stores import Stores

from sequential_adaptor.backends.supabase import SupabaseAdapter
from sequential_adaptor.backends.supabase.commits import Commit
from sequential_adaptor.backends.supabase.plain import Sorted
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, Claim, Create, Update, Wake
from sequential_adaptor.testing.strategies import changes

Asked: TypeAlias = tuple[list[Change], list[Claim], str]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RUNS, STACKS = ("r1", "r2", "r3"), ("r1", "r2", "r3", "r4", "r1.1", "r1.2", "r2.1")

# Who holds what, in the beginning: a lease that lives, one that lives by its heartbeats, one that is over, one that was
# over although there are heartbeats for an earlier claim, and none.
BEGINNING = """
truncate public.sequential_commits, public.sequential_task_runs, public.sequential_stack_runs,
    public.sequential_heartbeats;
insert into public.sequential_task_runs (id, task_identifier, version, runner, status, created_at)
select 'r' || n, 'digest', '', 'fetch', 'running', '2020-01-01Z' from generate_series(1, 3) as n;
insert into public.sequential_stack_runs (
    id, task_run_id, operation, status, attempts, wakes, token, progress_token, created_at, worker, lease_expires_at
) values
    ('r1', 'r1', 'task_init', 'in_progress', 0, 0, 1, 0, '2020-01-01Z', 'w1', '2190-01-01Z'),
    ('r2', 'r2', 'task_init', 'in_progress', 0, 0, 1, 0, '2020-01-01Z', 'w1', '2020-01-01Z'),
    ('r3', 'r3', 'task_init', 'in_progress', 0, 0, 1, 0, '2020-01-01Z', 'w2', '2020-01-01Z'),
    ('r4', 'r4', 'task_init', 'in_progress', 0, 0, 1, 0, '2020-01-01Z', null, null),
    ('r1.1', 'r1', 'fetch', 'in_progress', 0, 0, 0, 0, '2020-01-01Z', null, null);
insert into public.sequential_heartbeats values
    ('w1', '{"r2": [1, "2020-01-01T00:00:00Z", "2190-01-01T00:00:00Z"]}', '2190-01-01Z'),
    ('w2', '{"r3": [0, "2020-01-01T00:00:00Z", "2190-01-01T00:00:00Z"]}', '2190-01-01Z');
"""


def claim(id: str, worker: str = "w1", token: int = 1) -> Claim:
    return Claim(StackRun(id=id, task_run_id=id[:2]), worker, token, LONG_AGO)


def created(kind: type[TaskRun | StackRun], id: str, fields: dict[str, Any]) -> Create:
    """Sometimes without times, which the database fills in."""
    if kind is TaskRun:
        return Create(TaskRun(id=id, task_identifier="digest", **fields))
    return Create(StackRun(id=id, task_run_id=id[:2], **{"operation": "fetch", **fields}))


def of(kind: type[TaskRun | StackRun], ids: Sequence[str]) -> st.SearchStrategy[Change]:
    times = st.just({}) | st.just({"created_at": LONG_AGO})
    fields = st.builds(lambda one, other: {**one, **other}, changes(kind), times)
    new = st.sampled_from([*ids, "n1", "n1.1", "n2"] if kind is StackRun else [*ids, "n1", "n2"])
    expected = st.just({}) | st.just({}) | st.just({}) | changes(kind)
    return st.builds(created, st.just(kind), new, fields) | st.builds(
        Update, st.just(kind), st.sampled_from(ids), fields | changes(kind), expected
    )


changed = of(StackRun, STACKS) | of(StackRun, STACKS) | of(TaskRun, RUNS) | st.builds(Wake, st.sampled_from(STACKS))
claimed = st.builds(
    claim, st.sampled_from(["r1", "r1", "r1", "r2", "r2", "r3", "r4", "none"]), st.sampled_from(["w1", "w1", "w2"]),
    st.sampled_from([1, 1, 1, 2]),
)  # fmt: skip
asked = st.tuples(
    st.lists(changed, max_size=3), st.lists(claimed, max_size=1), st.sampled_from([f"c{n}" for n in range(1, 12)])
)
groups = st.lists(st.lists(asked, min_size=1, max_size=3), min_size=1, max_size=2)


class Pair:
    """Two stores that begin alike, of which one writes all commits one by one."""

    def __init__(self, runner: asyncio.Runner, dsns: Sequence[str]) -> None:
        self._runner = runner
        self._adapters = [SupabaseAdapter(dsn) for dsn in dsns]
        self._connections = [runner.run(asyncpg.connect(dsn)) for dsn in dsns]
        for adapter in self._adapters:
            runner.run(adapter.init())

    def close(self) -> None:
        for adapter in self._adapters:
            self._runner.run(adapter.close())
        for connection in self._connections:
            self._runner.run(connection.close())

    def begin(self) -> None:
        for connection in self._connections:
            self._runner.run(connection.execute(BEGINNING))

    def write(self, group: list[Asked]) -> tuple[list[str], list[str]]:
        """What each says to the same commits, which are asked for at once."""
        return self._runner.run(self._both(group))

    def rows(self) -> tuple[Any, Any]:
        """All that each has stored; a time of just now is as good as another."""
        return self._runner.run(self._stored(0)), self._runner.run(self._stored(1))

    async def _both(self, group: list[Asked]) -> tuple[list[str], list[str]]:
        quick, slow = (adapter._writer for adapter in self._adapters)
        ours, others = ([Commit(*one) for one in group] for _ in range(2))
        event(f"plain: {len(Sorted(ours).plain)}")
        return _told(ours, await quick._send(ours)), _told(others, await slow._call([], others, apart=True))

    async def _stored(self, which: int) -> list[list[tuple[Any, ...]]]:
        views = ("stack_run_rows", "task_run_rows", "commits", "heartbeats")
        texts = [f"select * from public.sequential_{view}" for view in views]
        found = [await self._connections[which].fetch(text) for text in texts]
        return [sorted((_leveled(row) for row in rows), key=repr) for rows in found]


def _told(commits: list[Commit], refusals: Mapping[Commit, BaseException]) -> list[str]:
    return [repr(refusals.get(commit)) for commit in commits]


def _leveled(row: Mapping[str, Any]) -> tuple[Any, ...]:
    around = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    return tuple(
        "now" if isinstance(value, datetime) and around[0] < value < around[1] else value
        for name, value in row.items()
        if name != "number"
    )


@pytest.fixture
def pair(stores18: Stores) -> Iterator[Pair]:
    """Two stores."""
    with asyncio.Runner() as runner:
        made = Pair(runner, [stores18.dsn(), stores18.dsn()])
        yield made
        made.close()


def step(n: int, **more: Any) -> list[Change]:
    outcome = {"status": "completed", "result": {"b": n, "a": 0}, "position": n, "ended_at": LONG_AGO, **more}
    made = StackRun(id=f"r1.{n + 1}", task_run_id="r1", operation="fetch", status="in_progress", sequence=n + 1)
    return [Update(StackRun, f"r1.{n}", outcome), Create(made)]


GIVEN_BACK: dict[str, Any] = {"worker": None, "lease_expires_at": None}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(groups=groups)
@example(groups=[[(step(1), [claim("r1")], "c1"), ([Update(StackRun, "r2", {"state": 1})], [claim("r2")], "c2")]])
@example(groups=[[(step(1), [claim("r1")], "c1")], [(step(2, log=["a"]), [claim("r1")], "c2")]])
@example(groups=[[(step(1), [claim("r1")], "c1")], [(step(1), [claim("r1")], "c1")]])
@example(groups=[[([Update(StackRun, "r1", {"state": n})], [claim("r1")], "c1")] for n in range(2)])
@example(groups=[[(step(1), [], "c1"), ([created(TaskRun, "n1", {})], [], "c1")]])
@example(groups=[[(step(1), [claim("r3", "w2")], "c1")], [(step(1), [claim("r4")], "c2")]])
@example(groups=[[(step(1), [claim("r1", token=2)], "c1")], [(step(1), [claim("r1", "w2")], "c2")]])
@example(groups=[[([Update(StackRun, "r1", GIVEN_BACK)], [claim("r1")], "c1"), (step(1), [claim("r1")], "c2")]])
@example(groups=[[([Wake("r1"), Update(StackRun, "r1", GIVEN_BACK)], [], "c1"), (step(1), [claim("r1")], "c2")]])
@example(groups=[[([Update(StackRun, "r1", {"wakes": 0}, {"wakes": 5})], [], "c1"), (step(1), [claim("r1")], "c2")]])
@example(groups=[[([Update(StackRun, "r2", {"lease_expires_at": LONG_AGO})], [claim("r2")], "c1")]])
@example(groups=[[([Update(StackRun, "r9", {"status": "failed"})], [], "c1"), (step(1), [claim("r1")], "c2")]])
@example(groups=[[([Update(kind, "r9", {"status": "failed"})], [], "c1")] for kind in (TaskRun, StackRun)])
@example(groups=[[([created(kind, "r1", {})], [], kind.__name__)] for kind in (TaskRun, StackRun)])
@example(groups=[[([created(StackRun, "n1", {})], [], "c1"), ([created(TaskRun, "n1", {})], [], "c2")]])
@example(groups=[[([created(StackRun, "n1", {}), Update(StackRun, "n1", {"state": []})], [], "c1")]])
@example(groups=[[([Update(StackRun, "n1", {"state": []}), created(StackRun, "n1", {})], [], "c1")]])
@example(groups=[[([Update(StackRun, "r1", {"state": 1}), Update(StackRun, "r1", {"log": []})], [], "c1")]])
@example(groups=[[([Wake("r1"), created(StackRun, "r1", {})], [], "c1"), ([], [], "c1")]])
@example(
    groups=[[([Update(StackRun, "r1", {"state": 1})], [], "c1"), ([Update(StackRun, "r1", {"state": 2})], [], "c2")]]
)
def test_plain_commits_are_as_if_they_were_written_one_by_one(pair: Pair, groups: list[list[Asked]]) -> None:
    """The same rows afterwards, and the same refusals, whatever is asked for side by side."""
    pair.begin()
    for group in groups:
        told, expected = pair.write(group)
        assert told == expected
        stored, wanted = pair.rows()
        assert stored == wanted


def test_a_step_is_plain() -> None:
    """And so are the beginning of a run and its end: they take no other way."""
    begin: list[Change] = [created(TaskRun, "n", {}), created(StackRun, "n", {}), *step(1)[1:]]
    end: list[Change] = [
        step(4)[0],
        Update(TaskRun, "r1", {"status": "completed", "result": None}),
        Update(StackRun, "r1", {"status": "completed", "due_at": None, **GIVEN_BACK}),
    ]
    commits = [Commit(changes, [], new_id()) for changes in (begin, step(1)[:1], end)]
    assert Sorted(commits).plain == commits
