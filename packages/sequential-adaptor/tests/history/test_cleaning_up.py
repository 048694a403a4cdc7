"""What a cancelled task does in its ``finally`` is as durable as the rest: also where its worker dies in the midst."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, TaskCancelled, Worker, create_adapter

CODE = """
from pathlib import Path
def note(path, text):
    with open(path, "a") as file:
        file.write(text + "\\n")
    return text
async def main(path):
    await step(note, path, "begun")
    try:
        await wait_for_event("never")
    finally:
        first = await step(note, path, "first")
        await sleep(0.01)
        await step(note, path, f"after {first}")
        print("cleaned")
"""


@pytest.mark.slow
@pytest.mark.backends("folder", "sqlite", "supabase")
async def test_clean_up_that_is_killed_at_any_boundary_goes_on_where_it_was(
    backend: str, tmp_path: Path, was_killed: Callable[..., Awaitable[bool]], options_of: Callable[..., dict[str, Any]]
) -> None:
    for number in itertools.count(1):
        config = options_of(backend, tmp_path / str(number))
        notes = tmp_path / f"notes{number}"
        async with create_adapter(backend, **config) as store, Engine(store) as engine:
            await engine.publish("cleans", CODE)
            run = await engine.submit("cleans", str(notes), id="run")
            await engine.work(until_idle=True)
            await run.cancel()
        killed = await was_killed(backend, config, number)
        async with create_adapter(backend, **config) as store, Engine(store) as engine:
            await asyncio.wait_for(Worker(store).run(until_idle=True), 60)
            run = engine.handle("run")
            with pytest.raises(TaskCancelled):
                await run.result(10)
            calls = [call for call in await run.calls() if call.operation.startswith("step:")]
        assert [call.result for call in calls] == ["begun", "first", "after first"], number
        assert [call.status for call in calls] == ["completed"] * 3
        lines = notes.read_text().split("\n")[:-1]
        assert list(dict.fromkeys(lines)) == ["begun", "first", "after first"], number
        assert len(lines) <= 4, number  # what was on its way when the worker died is performed once more, nothing else
        if not killed:
            break
    assert number > 8


async def test_clean_up_of_a_run_whose_worker_is_dead(
    tmp_path: Path, options_of: Callable[..., dict[str, Any]]
) -> None:
    """Nobody gives back what a killed worker held: it is cancelled when its lease has ended, or by force at once."""
    async with create_adapter("folder", **options_of("folder", tmp_path)) as store, Engine(store) as engine:
        await engine.publish("cleans", CODE)
        soft = await engine.submit("cleans", str(tmp_path / "soft"), id="soft")
        hard = await engine.submit("cleans", str(tmp_path / "hard"), id="hard")
        claims = await store.claim_stack_runs("dead", limit=2, lease=0.5)
        assert len(claims) == 2
        await soft.cancel()
        await hard.cancel(force=True)
        with pytest.raises(TaskCancelled):
            await hard.result(10)
        await engine.work(until_idle=True)
        with pytest.raises(TaskCancelled):
            await soft.result(10)
    assert (tmp_path / "hard").exists() is False


@pytest.mark.parametrize("when", ["before it begins", "while it waits", "while it works"])
async def test_what_a_task_prints_as_it_is_cancelled_is_kept(quick: Engine, desk: Any, when: str) -> None:
    code = """
async def main(hangs):
    print("begun")
    try:
        await (call_host_tool("desk", "hang") if hangs else wait_for_event("never"))
    except BaseException as error:
        print("ended by", type(error).__name__)
        raise
    finally:
        print("last line", end="")
"""
    await quick.publish("prints", code)
    run = await quick.submit("prints", when == "while it works", id="run")
    if when == "before it begins":
        await run.cancel()
    working = asyncio.create_task(quick.work(until_idle=True))
    if when == "while it works":
        await asyncio.wait_for(desk.hung.wait(), 20)
        await run.cancel()
    if when == "while it waits":
        await working
        await run.cancel()
        working = asyncio.create_task(quick.work(until_idle=True))
    await asyncio.wait_for(working, 20)
    rows = await quick.adapter.query_stack_runs({"task_run_id": "run"})
    lines = [line for row in rows for line in row.log or ()]
    assert sorted(lines) == ["begun", "ended by CancelledError", "last line"]


@pytest.mark.parametrize("number", range(1, 5))
async def test_no_line_is_lost_whichever_commit_a_cancel_comes_before(quick: Engine, number: int) -> None:
    code = """
async def main():
    print("one")
    try:
        await call_host_tool("desk", "give", [1])
        print("two")
        await wait_for_event("never")
    finally:
        print("three")
        await call_host_tool("desk", "give", [2])
        print("four")
"""
    await quick.publish("prints", code)
    run, store = await quick.submit("prints", id="run"), quick.adapter
    commit, commits = store.commit, 0

    async def cancelled_before(changes: Any, **options: Any) -> None:
        nonlocal commits
        commits += bool(options.get("claims"))
        if commits == number and options.get("claims"):
            store.commit = commit  # type: ignore[method-assign]  # once
            await run.cancel()
        await commit(changes, **options)

    store.commit = cancelled_before  # type: ignore[method-assign]  # undone by itself
    await asyncio.wait_for(quick.work(until_idle=True), 20)
    await run.cancel()
    await asyncio.wait_for(quick.work(until_idle=True), 20)
    with pytest.raises(TaskCancelled):
        await run.result(10)
    rows = await store.query_stack_runs({"task_run_id": "run"})
    lines = [line for row in sorted(rows, key=lambda row: row.position or 0) for line in row.log or ()]
    assert sorted({"one", "three", "four", *lines}, key=lines.index) == lines
