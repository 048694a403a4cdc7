"""Queues and runs that somebody deletes, at whatever moment: no run is left that can neither go on nor end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sequential_adaptor import Engine, QueueNotFound, RunHandle, TaskCancelled, TaskRun, Worker
from sequential_adaptor.engine.queues.leaving import see_out
from sequential_adaptor.errors import ConfigurationError, RecordNotFound

Meanwhile = Callable[..., None]

QUEUE = "queue-mail"


async def lane(engine: Engine, handle: RunHandle) -> str | None:
    frame = await engine.adapter.get_stack_run(handle.id)
    assert frame is not None
    return frame.parent_stack_run_id


async def work(engine: Engine, lease: float = 30.0) -> None:
    """Work until nothing is left to do; what can never end would be that for ever."""
    async with asyncio.timeout(15):
        await engine.work(lease=lease, until_idle=True)


async def forget_queue(engine: Engine) -> None:
    """Delete the queue whoever is in it, as something that knows nothing of queues would."""
    assert await engine.adapter.delete_task_run(QUEUE)


def of_the_gate(*_: object, claims: Any = (), **__: object) -> bool:
    """Whether a commit is that of the queue's gate."""
    return any(claim.stack_run.id == QUEUE for claim in claims)


# ---- which queues are deleted


async def test_a_queue_is_not_deleted_while_a_key_is_held_or_waited_for(engine: Engine) -> None:
    await engine.set_queue("mail")
    holder, waits = [await engine.submit("wait", n, queue="mail", key="k") for n in range(2)]
    await work(engine)
    with pytest.raises(ConfigurationError, match="1 waiting and 1 on their way"):
        await engine.delete_queue("mail")
    await waits.cancel(force=True)
    with pytest.raises(ConfigurationError, match="0 waiting and 1 on their way"):
        await engine.delete_queue("mail")
    await holder.send("go", 1)
    await work(engine)
    await engine.delete_queue("mail")
    assert await engine.queues() == []


async def test_a_queue_is_not_deleted_while_a_run_waits_for_its_start_time(engine: Engine) -> None:
    await engine.set_queue("mail")
    tomorrow = await engine.adapter.now() + timedelta(days=1)
    handle = await engine.submit("work", 1, queue="mail", at=tomorrow)
    with pytest.raises(ConfigurationError, match="1 waiting"):
        await engine.delete_queue("mail")
    await handle.cancel(force=True)
    await engine.delete_queue("mail")


async def test_a_run_that_comes_while_its_queue_is_deleted_goes_on_without_it(
    engine: Engine, meanwhile: Meanwhile
) -> None:
    await engine.set_queue("mail", paused=True)
    handles: list[RunHandle] = []

    async def submit() -> None:
        handles.append(await engine.submit("work", 1, queue="mail", priority=3, key="k"))

    meanwhile(engine.adapter, "delete_task_run", submit)
    await engine.delete_queue("mail")
    await work(engine)
    assert await handles[0].result(5) == 2
    assert await lane(engine, handles[0]) is None


async def test_a_queue_that_is_deleted_lets_those_go_whose_end_it_has_not_seen(engine: Engine) -> None:
    await engine.set_queue("mail")
    handle = await engine.submit("wait", queue="mail", key="k")
    await handle.cancel(force=True)
    assert await lane(engine, handle) == f"{QUEUE}.out"
    await engine.delete_queue("mail")
    assert await lane(engine, handle) is None


# ---- runs whose queue is gone


@pytest.mark.parametrize("limit", [None, 5])
async def test_a_run_ends_although_its_queue_is_gone(engine: Engine, limit: int | None) -> None:
    await engine.set_queue("mail", limit=limit)
    ending, asked, forced = [await engine.submit("wait", n, queue="mail", key=f"{n}") for n in range(3)]
    await work(engine)
    await forget_queue(engine)
    await ending.send("go", "done")
    await asked.cancel()
    await forced.cancel(force=True)
    await work(engine)
    assert await ending.result(5) == "done"
    for handle in (asked, forced):
        with pytest.raises(TaskCancelled):
            await handle.result(5)
    assert [await lane(engine, handle) for handle in (ending, asked, forced)] == [None] * 3


@pytest.mark.parametrize("force", [False, True])
async def test_a_run_that_waits_in_a_queue_that_is_gone_is_cancelled(engine: Engine, force: bool) -> None:
    await engine.set_queue("mail", paused=True)
    handle = await engine.submit("work", 1, queue="mail", key="k")
    await forget_queue(engine)
    await handle.cancel(force=force)
    await work(engine)
    with pytest.raises(TaskCancelled):
        await handle.result(5)


async def test_a_run_goes_on_without_a_queue_that_is_gone_when_it_is_woken(engine: Engine) -> None:
    await engine.set_queue("mail", paused=True)
    handle = await engine.submit("wait", queue="mail")
    await forget_queue(engine)
    await handle.send("go", 1)
    await work(engine)
    assert await handle.result(5) == 1


@pytest.mark.parametrize("at_the_very_moment", [False, True])
async def test_a_run_starts_at_its_time_although_its_queue_is_gone(
    engine: Engine, meanwhile: Meanwhile, at_the_very_moment: bool
) -> None:
    await engine.set_queue("mail")
    at = await engine.adapter.now() + timedelta(seconds=0.3)
    handle = await engine.submit("work", 1, queue="mail", at=at)

    def enters(changes: Any, **_: object) -> bool:
        return any(getattr(change, "id", None) == handle.id for change in changes)

    if at_the_very_moment:
        meanwhile(engine.adapter, "commit", lambda: forget_queue(engine), enters)
    else:
        await forget_queue(engine)
    await work(engine)
    assert await handle.result(5) == 2
    started_at = (await handle.record()).started_at
    assert started_at is not None
    assert started_at >= at


async def test_a_queue_that_is_made_again_admits_those_who_wait_in_it(engine: Engine) -> None:
    await engine.set_queue("mail", limit=1, paused=True)
    handle = await engine.submit("work", 1, queue="mail")
    await forget_queue(engine)
    await engine.set_queue("mail", limit=1)
    await work(engine)
    assert await handle.result(5) == 2


async def test_a_run_that_ends_does_not_start_another_in_a_queue_that_is_gone(
    engine: Engine, meanwhile: Meanwhile
) -> None:
    """The end of a run needs no queue; a child that it starts in the same commit does."""
    code = """
from sequential_adaptor.task import run_task

async def main(input):
    await run_task("work", 1, queue="mail", id="child", detached=True)
"""
    await engine.publish("last", code)
    await engine.set_queue("mail")
    handle = await engine.submit("last", queue="mail", key="k")

    def ends(changes: Any, **_: object) -> bool:
        return any(getattr(change, "id", None) == handle.id and change.changes.get("ended_at") for change in changes)

    meanwhile(engine.adapter, "commit", lambda: forget_queue(engine), ends)
    await work(engine, lease=0.5)
    record = await handle.record()
    assert (record.status, "no queue 'mail'" in str(record.error)) == ("failed", True)
    assert await engine.adapter.get_task_run("child") is None


# ---- gates that are disturbed


async def test_a_run_that_is_deleted_while_the_queue_looks_holds_up_nobody(
    engine: Engine, meanwhile: Meanwhile
) -> None:
    await engine.set_queue("mail", limit=5)
    await engine.submit("work", 1, id="deleted", queue="mail")
    handle = await engine.submit("work", 2, queue="mail")
    meanwhile(engine.adapter, "commit", lambda: engine.adapter.delete_task_run("deleted"), of_the_gate)
    worker = Worker(engine.adapter, lease=30.0)
    working = asyncio.create_task(worker.run())
    assert await handle.result(5) == 4
    worker.stop()
    await working


async def test_a_queue_that_is_deleted_while_it_is_seen_to_is_no_error(
    engine: Engine, meanwhile: Meanwhile, caplog: pytest.LogCaptureFixture
) -> None:
    async def change_and_delete() -> None:
        await engine.set_queue("mail", limit=3)
        meanwhile(engine.adapter, "get_stack_run", lambda: forget_queue(engine), lambda id: id == QUEUE)

    await engine.set_queue("mail", limit=2)
    meanwhile(engine.adapter, "commit", change_and_delete, of_the_gate)
    await work(engine)
    assert await engine.adapter.get_stack_run(QUEUE) is None
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_run_that_is_deleted_while_it_is_sent_back_is_no_error(
    engine: Engine, meanwhile: Meanwhile, caplog: pytest.LogCaptureFixture
) -> None:
    await engine.set_queue("mail", paused=True)
    handle = await engine.submit("wait", queue="mail")
    await work(engine)
    await handle.cancel()
    meanwhile(engine.adapter, "get_task_run", lambda: engine.adapter.delete_task_run(handle.id))
    await work(engine)
    with pytest.raises(RecordNotFound):
        await handle.record()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_frame_whose_run_was_removed_by_hand_leaves_its_lane(engine: Engine) -> None:
    await engine.set_queue("mail", limit=1)
    queued = {"queue": {"name": "mail", "priority": 0, "key": "k"}}
    await engine.adapter.create_stack_run(
        {"id": "gone", "task_run_id": "gone", "options": queued, "parent_stack_run_id": f"{QUEUE}.in"}
    )
    handle = await engine.submit("work", 1, queue="mail", key="k")
    await work(engine)
    assert await handle.result(timeout=5) == 2
    left = await engine.adapter.get_stack_run("gone")
    assert left is not None
    assert (left.status, left.parent_stack_run_id) == ("cancelled", None)


# ---- keys of runs that are forgotten


async def test_a_key_is_given_on_when_the_run_that_held_it_is_forgotten(engine: Engine) -> None:
    await engine.set_queue("mail", limit=5)
    held, waits, also = [await engine.submit("wait", n, queue="mail", key="k") for n in range(3)]
    await work(engine)
    await held.cancel(force=True)
    await see_out(engine.adapter, held.id)
    await engine.adapter.delete_task_run(held.id)
    await work(engine)
    assert [(await handle.record()).status for handle in (waits, also)] == ["suspended", "pending"]


async def test_a_run_is_not_forgotten_before_a_gate_that_is_at_work_has_seen_its_end(engine: Engine) -> None:
    """It might let somebody wait for the key that was given back, and who was forgotten tells nobody of it."""
    await engine.set_queue("mail", limit=5)
    held, waits = [await engine.submit("wait", n, queue="mail", key="k") for n in range(2)]
    await work(engine)
    await held.cancel(force=True)
    gates = await engine.adapter.claim_stack_runs("another", lease=0.5, ids=[QUEUE])
    seeing_out = asyncio.create_task(see_out(engine.adapter, held.id))
    await asyncio.sleep(0.2)
    assert (len(gates), seeing_out.done()) == (1, False)
    await asyncio.wait_for(seeing_out, 10)
    assert await lane(engine, held) is None
    assert await lane(engine, waits) == f"{QUEUE}.w0"


async def test_who_goes_through_no_queue_or_through_one_that_is_gone_is_forgotten_at_once(engine: Engine) -> None:
    await engine.set_queue("mail")
    handles = [await engine.submit("work", 1), await engine.submit("work", 1, queue="mail", key="k")]
    for handle in handles:
        await handle.cancel(force=True)
    await forget_queue(engine)
    async with asyncio.timeout(5):
        for handle in [*handles, RunHandle(engine.adapter, "nobody")]:
            await see_out(engine.adapter, handle.id)


# ---- desks


async def test_queues_are_listed_while_one_of_them_is_deleted(engine: Engine, meanwhile: Meanwhile) -> None:
    await engine.set_queue("another")
    await engine.set_queue("mail")
    meanwhile(engine.adapter, "get_stack_run", lambda: forget_queue(engine), lambda id: id == QUEUE)
    assert [queue.name for queue in await engine.queues()] == ["another"]


async def test_a_queue_that_is_deleted_while_it_is_paused_stays_deleted(engine: Engine, meanwhile: Meanwhile) -> None:
    for method in ("get_stack_run", "commit"):
        await engine.set_queue("mail")
        meanwhile(engine.adapter, method, lambda: forget_queue(engine))
        with pytest.raises(QueueNotFound):
            await engine.pause_queue("mail")
        assert await engine.queues() == []


async def test_a_queue_that_is_deleted_while_it_is_set_is_made_again(engine: Engine, meanwhile: Meanwhile) -> None:
    await engine.set_queue("mail", limit=2, per_worker=1)
    meanwhile(engine.adapter, "commit", lambda: forget_queue(engine))
    await engine.set_queue("mail", limit=9)
    settings = (await engine.queue("mail")).settings
    assert (settings.limit, settings.per_worker) == (9, None)


async def test_a_run_without_a_frame_is_in_the_way_of_a_queue(engine: Engine) -> None:
    await engine.adapter.create_task_run(TaskRun(id=QUEUE, task_identifier="work"))
    async with asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match="in the way of a queue 'mail'"):
            await engine.set_queue("mail", limit=1)
