"""A task whose process dies at any of its boundaries ends right in the next one (with real ones: test_killed.py)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import (
    Engine,
    FolderAdapter,
    SequentialError,
    ServiceClient,
    StackProcessor,
    StackRun,
    TaskExecutor,
    Worker,
)
from sequential_adaptor.engine.carrying import Carrying
from sequential_adaptor.engine.handle import RunHandle
from sequential_adaptor.engine.holding import moving
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.submitting import prepare
from sequential_adaptor.engine.worker import worker_name
from sequential_adaptor.errors import StorageClosed

CODE = '[["s.a"], ["s.b", "s.c"], ["s.d"]]'
RIGHT = ["A", "B", "C", "D"]
LEASE = 0.1


class Mortal(FolderAdapter):
    """A folder that counts the boundaries of its process, and is gone for it from the ``dies_at``-th on."""

    def __init__(self, path: Path, dies_at: int | None = None) -> None:
        super().__init__(path, durability="process")
        self.passed = 0
        self.dies_at = dies_at
        self.died = asyncio.Event()

    def boundary(self) -> None:
        """One more instant at which a process can be killed."""
        if not self.died.is_set():
            self.passed += 1
            if self.passed == self.dies_at:
                self.died.set()
        if self.died.is_set():
            raise StorageClosed("a store whose process was killed")

    async def claim_stack_runs(self, *args: Any, **options: Any) -> Any:
        self.boundary()
        found = await super().claim_stack_runs(*args, **options)
        if found:
            self.boundary()
        return found

    async def commit(self, *args: Any, **options: Any) -> None:
        self.boundary()
        await super().commit(*args, **options)
        self.boundary()


class Letters:
    """A service whose methods give back their own name in capitals, and count who called them under which key."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        self.boundary: Callable[[], None] = lambda: None
        self.order: Sequence[str] = ()
        self._ended: set[str] = set()
        self._turn = asyncio.Condition()

    def forget(self) -> None:
        """Begin to count anew."""
        self.calls.clear()
        self.keys.clear()

    async def __call__(self, method: str, params: Any, idempotency_key: str) -> str:
        self.boundary()
        self.calls[method] += 1
        self.keys.setdefault(method, set()).add(idempotency_key)
        await self._wait_for_turn(method)
        self.boundary()
        return method.upper()

    async def _wait_for_turn(self, method: str) -> None:
        """Calls that are named in ``order`` end in that order."""
        async with self._turn:
            if method in self.order:
                before = set(self.order[: self.order.index(method)])
                await self._turn.wait_for(lambda: before <= self._ended)
            self._ended.add(method)
            self._turn.notify_all()


@pytest.fixture
async def letters() -> AsyncIterator[tuple[Letters, ServiceClient]]:
    service = Letters()
    async with ServiceClient() as client:
        client.register_service("s", service)
        yield service, client


async def work(store: Mortal, services: ServiceClient) -> None:
    await Worker(store, lease=LEASE, services=services).run(until_idle=True)


async def run(store: Mortal, services: ServiceClient) -> None:
    async with Engine(store, services=services) as engine:
        await engine.carry(engine.handle("run"), lease=LEASE)


async def stop_and_go(store: Mortal, services: ServiceClient) -> None:
    executor = TaskExecutor(store, services, lease=LEASE)
    await executor.execute("run")
    processor = StackProcessor(store, services, lease=LEASE)
    while (await store.get_task_run("run")).status not in ("completed", "failed"):  # type: ignore[union-attr]  # it is there
        if not await processor.process_pending():
            await asyncio.sleep(LEASE / 4)


WAYS = {"work": work, "run": run, "stop_and_go": stop_and_go}
Way = Callable[[Mortal, ServiceClient], Coroutine[Any, Any, None]]


async def live(way: Way, path: Path, services: ServiceClient, letters: Letters, dies_at: int | None) -> Mortal:
    """One process: it works until it has done what there is to do, or dies."""
    store = Mortal(path, dies_at)
    letters.boundary = store.boundary
    await store.init()
    working = asyncio.create_task(way(store, services))
    dying = asyncio.create_task(store.died.wait())
    await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
    for task in (working, dying):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SequentialError):
            await task
    letters.boundary = lambda: None
    await store.close()
    return store


async def published(path: Path) -> None:
    async with Engine(f"folder:{path}?durability=process") as engine:
        await engine.publish("letters", CODE, runner="groups")


async def submitted(path: Path) -> None:
    await published(path)
    async with Engine(f"folder:{path}?durability=process") as engine:
        await engine.submit("letters", id="run")


async def submit_and_run(store: Mortal, services: ServiceClient) -> None:
    """As ``Engine.run`` does it for a run that nobody has named, with a shorter lease."""
    submission = await prepare(store, "letters", None)
    tools = Tools(store, services)
    try:
        await Carrying(store, tools, RunHandle(store, submission.run.id), LEASE).run(submission)
    finally:
        await tools.close()


def check(frame: StackRun, rows: Sequence[StackRun], letters: Letters) -> None:
    """Every outcome is recorded once, in one order, under one key a call; each claim sends a call at most once."""
    calls = sorted((row for row in rows if row.sequence is not None), key=lambda row: row.sequence or 0)
    assert [call.operation for call in calls] == ["s.a", "s.b", "s.c", "s.d"]
    assert sorted(call.position for call in calls if call.position is not None) == [0, 1, 2, 3]
    assert {method: {call.id} for method, call in zip("abcd", calls, strict=True)} == letters.keys
    for method, call in zip("abcd", calls, strict=True):
        assert letters.calls[method] <= frame.token + call.token


@pytest.mark.parametrize("way", WAYS)
async def test_a_death_at_any_boundary_loses_nothing_and_repeats_under_the_same_key(
    way: str, tmp_path: Path, letters: tuple[Letters, ServiceClient]
) -> None:
    service, client = letters
    for dies_at in itertools.count(1):
        service.forget()
        path = tmp_path / str(dies_at)
        await submitted(path)
        first = await live(WAYS[way], path, client, service, dies_at)
        if not first.died.is_set():  # it has outlived all of its boundaries
            assert dies_at > 12
            break
        await live(work, path, client, service, None)
        async with Engine(f"folder:{path}") as engine:
            record = await engine.handle("run").record()
            assert (record.status, record.result) == ("completed", RIGHT), f"died at boundary {dies_at}"
            frame = await engine.adapter.get_stack_run("run")
            assert frame is not None
            check(frame, await engine.handle("run").calls(), service)


@pytest.mark.parametrize("moment", [0.0, 60.0])
async def test_a_run_whose_submitter_dies_at_any_boundary_has_never_been_or_ends_right(
    moment: float, tmp_path: Path, letters: tuple[Letters, ServiceClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the submission was stored with its first turn, or before it; no call is sent before both are stored."""
    monkeypatch.setattr(moving, "_MOMENT", moment)
    service, client = letters
    came_to_be = []
    for dies_at in itertools.count(1):
        service.forget()
        path = tmp_path / str(dies_at)
        await published(path)
        first = await live(submit_and_run, path, client, service, dies_at)
        sent_by_first = sum(service.calls.values())
        await live(work, path, client, service, None)
        async with Engine(f"folder:{path}") as engine:
            records = await engine.adapter.query_task_runs()
            came_to_be.append(bool(records))
            assert [(record.status, record.result) for record in records] in ([], [("completed", RIGHT)])
            if records:
                frame = await engine.adapter.get_stack_run(records[0].id)
                assert frame is not None
                check(frame, await engine.handle(records[0].id).calls(), service)
            else:
                assert sent_by_first == 0
        if not first.died.is_set():
            break
    assert came_to_be == sorted(came_to_be)
    assert came_to_be[0] is False
    assert came_to_be[-1] is True


@pytest.mark.parametrize("order", list(itertools.permutations("bc")))
async def test_outcomes_are_taken_in_the_order_in_which_they_came(
    order: Sequence[str], tmp_path: Path, letters: tuple[Letters, ServiceClient]
) -> None:
    service, client = letters
    service.order = order
    await submitted(tmp_path)
    async with Engine(f"folder:{tmp_path}", services=client) as engine:
        assert await engine.run("letters", id="run") == RIGHT
        calls = {call.operation[-1]: call for call in await engine.handle("run").calls()}
    assert sorted("bc", key=lambda name: calls[name].position or 0) == list(order)


def test_a_worker_is_never_named_twice() -> None:
    assert len({worker_name() for _ in range(1_000)}) == 1_000
