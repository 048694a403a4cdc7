"""Carrying one run through in this process, saying on the way what it waits for."""

from __future__ import annotations

import asyncio
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sequential_adaptor.cli.console import say
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.formats import call_title, printable
from sequential_adaptor.cli.parsing import Task
from sequential_adaptor.cli.querying import story_of
from sequential_adaptor.cli.settings import Settings
from sequential_adaptor.engine import Engine, RunHandle
from sequential_adaptor.errors import StorageError
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.values import JSON

_LOOK = 1.0
_PATIENCE = timedelta(seconds=1.5)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user has asked to be run."""

    task: Task
    runner: str
    input: JSON
    run_id: str | None
    input_given: bool


async def carry(settings: Settings, wish: Wish, lease: float) -> TaskRun:
    """Submit the task, or find the run that was named, and work on it until it has ended."""
    async with settings.engine() as engine:
        handle = await begun(engine, wish)
        say(f"run {handle.id} of {wish.task.identifier}")
        settings.way_on = _way_on(settings, wish.task, handle)
        watching = asyncio.create_task(_say_what_it_waits_for(engine, handle))
        try:
            await engine.carry(handle, lease=lease)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        await _say_log(engine, handle)
        return await handle.record()


async def begun(engine: Engine, wish: Wish, **place: Any) -> RunHandle:
    """A handle on a new run, or on the one that has this id already; its input need not be said again.

    ``place`` is when and in which queue a new one runs, as in :meth:`Engine.submit`.
    """
    task, id = wish.task, wish.run_id
    found = await engine.adapter.get_task_run(id) if id is not None else None
    if found is not None and found.task_identifier != task.identifier:
        raise CommandFailed(
            f"run {found.id} is one of {found.task_identifier}, not of {task.identifier}",
            f"Go on with it: sequential run {found.task_identifier} --id {found.id}; or choose another --id.",
        )
    if found is not None and not wish.input_given:
        return engine.handle(found.id)
    if task.file is not None:
        await task.publish(engine, wish.runner)
    return await engine.submit(task.identifier, wish.input, id=id, **place)


def _way_on(settings: Settings, task: Task, handle: RunHandle) -> str:
    storage = f" --storage {shlex.quote(settings.storage)}" if settings.storage else ""
    return (
        f"Nothing is lost. Go on with: sequential run {task.identifier} --id {handle.id}{storage}\n"
        f"             or let a worker do it: sequential work{storage}"
    )


async def _say_what_it_waits_for(engine: Engine, handle: RunHandle) -> None:
    """One line for each thing that takes longer than a moment."""
    said: set[str] = set()
    open_rows = {"task_run_id": handle.id, "status": STACK_RUN.open}
    while True:
        await asyncio.sleep(_LOOK)
        with suppress(StorageError):  # whoever carries the run outlives it, or says what is wrong
            now = await engine.adapter.now()
            for row in await engine.adapter.query_stack_runs(open_rows):
                awaited = _holder(row, now) if row.is_frame else _awaited(handle, row, now)
                if awaited is not None and awaited not in said:
                    said.add(awaited)
                    say(f"waiting for {awaited}")


def _holder(frame: StackRun, now: datetime) -> str | None:
    """Somebody else who works on the run, or has died doing so."""
    if frame.worker is None or not frame.is_held(now):
        return None
    if f":{os.getpid()}:" in frame.worker:
        return None
    return f"worker {frame.worker}, which holds the run; if it is dead, for the end of its lease"


def _awaited(handle: RunHandle, call: StackRun, now: datetime) -> str | None:
    if call.created_at is None or now - call.created_at < _PATIENCE:
        return None
    kind, _, name = call.operation.partition(":")
    if kind == "wait":
        return f"the event {name}; send it: sequential send {handle.id} {name} --data JSON"
    return f"{call_title(call, 100)} ({call.id})"


async def _say_log(engine: Engine, handle: RunHandle) -> None:
    for line in (await story_of(engine, await handle.record())).log:
        say(printable(line))
