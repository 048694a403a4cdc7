"""What happens to records at the source after ``sync`` has read them, and what the target has forgotten since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from sequential_adaptor.engine import Engine
from sequential_adaptor.errors import NotOffered
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.syncing import Selection, sync

Pair = tuple[StorageAdapter, StorageAdapter]
Publish = Callable[[StorageAdapter], Awaitable[None]]
Act = Callable[[], Awaitable[Any]]
Meanwhile = Callable[..., None]

FLAKY = """
from sequential_adaptor.task import step

def give():
    raise ValueError("no")

async def main(input):
    return await step(give)
"""


def gone(store: StorageAdapter, run_id: str) -> Act:
    """Delete a run as ``sequential delete --force`` does."""

    async def gone() -> None:
        async with Engine(store) as engine:
            await engine.handle(run_id).cancel(force=True)
        await store.delete_task_run(run_id)

    return gone


async def test_runs_that_are_pruned_after_they_were_listed_are_passed_over(
    folders: Pair, publish: Publish, meanwhile: Meanwhile
) -> None:
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        for number in range(3):
            await engine.run("echo", number)
        await engine.submit("echo", 1, id="open")
        meanwhile(source, "query_task_runs", lambda: engine.prune(timedelta(0)), after=True)
        summary = await sync(source, target)
    assert (summary.copied, summary.moved, summary.refused) == (0, ["open"], {})
    assert [run.id for run in await target.query_task_runs()] == ["open"]


async def test_a_run_that_is_deleted_on_its_way_is_at_neither_side(
    pair: Pair, publish: Publish, meanwhile: Meanwhile
) -> None:
    """Nothing of it stays parked at the target, and those after it are taken."""
    source, target = pair
    await publish(source)
    async with Engine(source) as engine:
        await engine.submit("echo", 1, id="a")
        await engine.submit("echo", 1, id="b")
    meanwhile(source, "commit", gone(source, "a"))
    summary = await sync(source, target)
    assert (summary.moved, summary.refused) == (["b"], {})
    assert await target.get_task_run("a") is None
    assert list(await target.query_stack_runs({"task_run_id": "a"})) == []


async def test_where_the_target_cannot_delete_it_says_what_rests_there(
    folders: Pair, publish: Publish, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = folders
    await publish(source)

    async def refused(id: str) -> bool:
        raise NotOffered("some adapter", "delete runs")

    monkeypatch.setattr(target, "delete_task_run", refused)
    async with Engine(source) as engine:
        await engine.submit("echo", 1, id="a")
    meanwhile(source, "commit", gone(source, "a"))
    assert list((await sync(source, target)).refused) == ["a"]


@pytest.mark.parametrize("ended_only", [False, True])
async def test_a_run_that_is_retried_after_it_was_listed_is_not_copied(
    folders: Pair, meanwhile: Meanwhile, ended_only: bool
) -> None:
    """It is on its way by now: it moves, or is left open."""
    source, target = folders
    await source.store_task_function("flaky", FLAKY)
    async with Engine(source) as engine:
        await engine.submit("flaky", 1, id="r")
        await engine.work(until_idle=True)
        meanwhile(source, "query_task_runs", lambda: engine.retry("r"), after=True)
        summary = await sync(source, target, Selection(ended_only=ended_only))
    assert summary.copied == 0
    assert (summary.moved, summary.left_open) == (([], 1) if ended_only else (["r"], 0))
    claimable = source if ended_only else target
    assert [claim.stack_run.id for claim in await claimable.claim_stack_runs("worker")] == ["r"]


async def test_a_key_that_is_deleted_after_it_was_listed_is_not_copied_as_null(
    folders: Pair, meanwhile: Meanwhile
) -> None:
    source, target = folders
    await source.set_keystore("TOKEN", "x")
    await source.set_keystore("NULL", None)
    meanwhile(source, "list_keystore", lambda: source.delete_keystore("TOKEN"), after=True)
    assert (await sync(source, target)).keys == 1
    assert await target.list_keystore() == ["NULL"]


@pytest.mark.parametrize("forgotten", ["pruned", "deleted"])
async def test_a_moved_run_that_the_target_has_forgotten_does_not_come_back(
    folders: Pair, publish: Publish, forgotten: str
) -> None:
    source, target = folders
    await publish(source)
    async with Engine(source) as engine:
        await engine.submit("echo", 1, id="r")
    await sync(source, target)
    async with Engine(target) as engine:
        await engine.work(until_idle=True)
        if forgotten == "pruned":
            await engine.prune(timedelta(0))
        else:
            await target.delete_task_run("r")
    summary = await sync(source, target)
    assert (summary.copied, summary.there) == (0, 1)
    assert await target.get_task_run("r") is None
