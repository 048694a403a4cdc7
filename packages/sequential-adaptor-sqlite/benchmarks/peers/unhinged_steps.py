"""The workflows of ``steps.py`` on Unhinged, as its users write them."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from peers.measuring import BESIDE, LONG, ROW, STEPS, Figures, Worker, measured
from unhinged import Unhinged


async def theirs(folder: Path, *, disk: str) -> Figures:
    """The same workflows."""
    app = Unhinged(str(folder / "theirs.db"), queue_name="row")
    app.create_queue("row")

    @app.register_task("row")
    def row(params: Any, ctx: Any) -> None:
        for number in range(params):
            ctx.step(f"same{number}", lambda number=number: number)

    async def one_by_one() -> None:
        for _ in range(ROW):
            app.spawn("row", STEPS)
            app.work_batch()

    async def together() -> None:
        for _ in range(BESIDE * 4):
            app.spawn("row", STEPS)
        app.start_worker(concurrency=BESIDE, stop_when_idle=True, poll_interval=0.001)

    async def one_each() -> None:
        for _ in range(ROW):
            app.spawn("row", 1)
            app.work_batch()

    await one_each()
    found = await measured(f"{disk}, Unhinged, in a row: a step", ROW * STEPS, one_by_one)
    found |= await measured(f"{disk}, Unhinged, 32 side by side: a step", BESIDE * 4 * STEPS, together)
    found |= await measured(f"{disk}, Unhinged, a task of one step", ROW, one_each)
    app.close()
    return found


async def their_resume(folder: Path) -> Figures:
    """A task of 1,000 recorded steps, and one of none, each taken up by an app that has never seen it."""

    def opened() -> Any:
        app = Unhinged(str(folder / "resume.db"), queue_name="waits")

        @app.register_task("waits")
        def waits(params: Any, ctx: Any) -> None:
            for number in range(params[0]):
                ctx.step(f"same{number}", lambda number=number: number)
            ctx.await_event(params[1])

        return app

    app = opened()
    app.create_queue("waits")
    for count in (LONG, 0):
        app.spawn("waits", [count, f"go{count}"])
    app.run_until_idle()
    app.close()
    spent = []
    for count in (LONG, 0):
        app = opened()
        app.emit_event(f"go{count}")
        app.close()
        begin = time.perf_counter()
        app = opened()
        app.work_batch()
        app.close()
        spent.append((time.perf_counter() - begin) * 1e3)
    return {"disk, Unhinged, resume of 1,000 steps: wall ms": spent[0] - spent[1]}


THEIR_WORKER = """
import sys, time
from unhinged import Unhinged
app = Unhinged(sys.argv[1], queue_name="clock")
@app.register_task("clock")
def clock(params, ctx):
    return ctx.step("seen", time.time)
print("ready", flush=True)
app.start_worker()
"""


async def their_pick_up(folder: Path, times: int = 20) -> Figures:
    """From spawning in this process to the first step in an idle worker of another, which polls as by default."""
    path = str(folder / "pick.db")
    app = Unhinged(path, queue_name="clock")
    app.create_queue("clock")
    delays = []
    with Worker(THEIR_WORKER, path):
        for _ in range(times):
            await asyncio.sleep(0.3)
            begin = time.time()
            task = app.spawn("clock", {}, queue="clock")
            found = app.await_task_result(task["task_id"], timeout=30)
            delays.append((found.result - begin) * 1e3)
    app.close()
    return {"disk, Unhinged, pick-up by an idle worker: wall ms": statistics.median(delays[1:])}
