"""``sync`` and queues: a queue is at both sides then, and none of its runs waits for what nobody will say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import StorageUnavailable
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.syncing import Selection, sync

Pair = tuple[StorageAdapter, StorageAdapter]
Publish = Callable[[StorageAdapter], Awaitable[None]]


async def work(store: StorageAdapter) -> dict[str, str]:
    """Work until nothing can be done; the statuses of the runs that are no queues."""
    async with Engine(store) as engine:
        await engine.work(until_idle=True)
    return {run.id: run.status for run in await store.query_task_runs() if run.runner != "queue"}


async def send(store: StorageAdapter, run_id: str) -> None:
    async with Engine(store) as engine:
        await engine.handle(run_id).send("approve", True)


async def lane(store: StorageAdapter, run_id: str) -> str | None:
    frame = await store.get_stack_run(run_id)
    assert frame is not None
    return frame.parent_stack_run_id


async def begin(store: StorageAdapter, first: dict[str, Any], **settings: Any) -> None:
    """Run ``a`` has begun and waits for an event; ``b`` and ``c`` are in the same queue."""
    async with Engine(store) as engine:
        await engine.set_queue("q", **settings)
        await engine.submit("waiting", 1, id="a", queue="q", **first)
        await engine.work(until_idle=True)
        for id in "bc":
            await engine.submit("echo", 1, id=id, queue="q", **{"priority": 5, **first})


async def test_a_run_brings_its_queue_and_leaves_its_slot(pair: Pair, publish: Publish) -> None:
    """What has begun holds a slot of the queue at the target until it ends; the next at the source goes on."""
    source, target = pair
    await publish(source)
    await begin(source, {}, limit=1)
    summary = await sync(source, target, Selection(run="a"))
    assert (summary.moved, summary.queues) == (["a"], ["q"])
    summary = await sync(source, target, Selection(run="b"))
    assert (summary.moved, summary.queues) == (["b"], [])
    assert (await lane(target, "a"), await lane(target, "b")) == ("queue-q.in", "queue-q.w5")
    assert await work(target) == {"a": "suspended", "b": "pending"}
    await send(target, "a")
    assert await work(target) == {"a": "completed", "b": "completed"}
    assert (await work(source))["c"] == "completed"


async def test_a_key_is_given_back_at_the_source_and_held_at_the_target(folders: Pair, publish: Publish) -> None:
    """So it is in a queue without a limit, which its runs leave when they begin."""
    source, target = folders
    await publish(source)
    await begin(source, {"key": "k"})
    assert (await work(source))["b"] == "pending"
    await sync(source, target, Selection(run="a"))
    assert (await work(source))["b"] == "completed"
    await publish(target)
    async with Engine(target) as engine:
        await engine.submit("echo", 1, id="z", queue="q", key="k")
    assert await work(target) == {"a": "suspended", "z": "pending"}
    await send(target, "a")
    assert await work(target) == {"a": "completed", "z": "completed"}


@pytest.mark.parametrize("own", [False, True])
async def test_a_queue_that_rests_at_the_target_hears_of_the_run_that_arrives(
    folders: Pair, publish: Publish, own: bool
) -> None:
    source, target = folders
    await publish(source)
    await begin(source, {}, limit=1)
    if own:
        async with Engine(target) as engine:
            await engine.set_queue("q", limit=2)
    else:
        await sync(source, target, Selection(ended_only=True))
    await work(target)
    summary = await sync(source, target, Selection(run="b"))
    differs = ["queue q has other settings at the target, and keeps them"]
    assert (summary.moved, summary.notes) == (["b"], differs if own else [])
    assert await work(target) == {"b": "completed"}


@pytest.mark.parametrize(("key", "name"), [(None, "in"), (None, "c"), ("k", "c"), ("k", "in"), ("k", "kabc.0")])
async def test_what_has_not_begun_is_a_newcomer_at_the_target(
    folders: Pair, publish: Publish, key: str | None, name: str
) -> None:
    """Whatever was decided about it at the source, and whatever its workers had no room for."""
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        await engine.set_queue("q", limit=1)
        await engine.submit("echo", 1, id="r", queue="q", key=key)
    frame = await source.get_stack_run("r")
    assert frame is not None
    bounced = {"queue": {**frame.options["queue"], "bounced": 3, "per_worker": 1}}
    due = await source.now()
    await source.update_stack_run("r", parent_stack_run_id=f"queue-q.{name}", due_at=due, options=bounced)
    await sync(source, target)
    arrived = await target.get_stack_run("r")
    assert arrived is not None
    assert (arrived.parent_stack_run_id, arrived.options) == ("queue-q.w0", frame.options)
    assert await work(target) == {"r": "completed"}


async def test_what_waits_for_its_start_time_waits_for_it_at_the_target(folders: Pair, publish: Publish) -> None:
    source, target = folders
    await publish(source)
    at = datetime.now(UTC) + timedelta(days=1)
    async with Engine(source) as engine:
        await engine.set_queue("q", limit=1)
        await engine.submit("echo", 1, id="r", queue="q", priority=3, at=at)
    await sync(source, target)
    arrived = await target.get_stack_run("r")
    assert arrived is not None
    assert (arrived.parent_stack_run_id, arrived.due_at) == ("queue-q.later", at)
    past = {**arrived.options, "at": "2026-01-01T00:00:00Z"}
    await target.update_stack_run("r", due_at=await target.now(), options=past)
    assert await work(target) == {"r": "completed"}


async def test_a_queue_stays_in_use_at_the_source_and_a_rate_counts_on_at_the_target(
    folders: Pair, publish: Publish
) -> None:
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        await engine.set_queue("q", rate=(1, timedelta(hours=1)))
        await engine.submit("echo", 1, id="first", queue="q")
        await engine.work(until_idle=True)
    summary = await sync(source, target)
    assert (summary.copied, summary.moved, summary.queues) == (1, [], ["q"])
    again = await sync(source, target)
    assert (again.copied, again.there, again.queues, again.notes) == (0, 1, [], [])
    await publish(target)
    for store in folders:
        async with Engine(store) as engine:
            await engine.submit("echo", 1, id="second", queue="q")
        assert await work(store) == {"first": "completed", "second": "pending"}
        queue = await store.get_stack_run("queue-q")
        assert queue is not None
        assert queue.due_at is not None
        assert queue.due_at > await store.now() + timedelta(minutes=50)


async def test_a_gate_that_is_looked_at_is_nothing_in_flight(folders: Pair, publish: Publish) -> None:
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        await engine.set_queue("q", limit=1)
        await engine.submit("echo", 1, id="r", queue="q")
    assert [claim.stack_run.id for claim in await source.claim_stack_runs("worker")] == ["queue-q"]
    assert (await sync(source, target)).moved == ["r"]
    assert await work(target) == {"r": "completed"}


@pytest.mark.parametrize("written", [False, True])
async def test_what_is_parked_takes_no_slot(
    folders: Pair, publish: Publish, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that was killed leaves the queue of the target to others; run again, its run enters it."""
    source, target = folders
    await publish(source)
    await begin(source, {}, limit=1)
    commit = source.commit

    async def dying(*arguments: Any, **options: Any) -> None:
        if written:
            await commit(*arguments, **options)
        raise StorageUnavailable("the process dies here")

    for id in "ab":
        with monkeypatch.context() as patched:
            patched.setattr(source, "commit", dying)
            with pytest.raises(StorageUnavailable):
                await sync(source, target, Selection(run=id))
    async with Engine(target) as engine:
        queue = await engine.queue("q")
    assert (queue.on_their_way, queue.waiting) == (0, 0)
    assert sorted((await sync(source, target)).moved) == ["a", "b", "c"]
    assert (await lane(target, "a"), await lane(target, "b")) == ("queue-q.in", "queue-q.w5")
    await send(target, "a")
    assert set((await work(target)).values()) == {"completed"}


async def test_a_run_whose_queue_is_at_neither_side_stays(folders: Pair, publish: Publish) -> None:
    """It is named with the remedy; where the target has the queue, that of the source is missed by nobody."""
    source, target = folders
    await publish(source)
    await begin(source, {}, limit=1)
    await source.delete_task_run("queue-q")
    refused = (await sync(source, target)).refused
    assert list(refused) == ["a", "b", "c"]
    assert "sequential queue set q" in refused["b"]
    async with Engine(target) as engine:
        await engine.set_queue("q", limit=1)
    assert (await sync(source, target)).moved == ["a", "b", "c"]
    await send(target, "a")
    assert set((await work(target)).values()) == {"completed"}
