"""``sequential history``: what happened in a run, one line for each thing, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async

if TYPE_CHECKING:
    from sequential_adaptor.cli.querying import Story
    from sequential_adaptor.records import StackRun, TaskRun


@click.command(short_help="Print what happened in a run, in order.")
@click.argument("run_id", metavar="[RUN_ID]", required=False)
@shared_options
def command(run_id: str | None) -> None:
    """Print what happened in a run, in order; of the newest one where no id is given."""
    run_async(lambda: _history(Settings.current(), run_id))


@dataclass(frozen=True, slots=True)
class Happening:
    """``id`` is the run's or the call's."""

    at: datetime
    event: str
    id: str
    what: str
    outcome: str = ""


def happenings(story: Story) -> list[Happening]:
    """Everything that has a time, ordered by it; at one time, what began comes before what ended."""
    calls = [one for call in story.calls for one in _of_call(call)]
    events = [one for event in story.events for one in _of_event(event)]
    return sorted([*_of_run(story.run), *calls, *events], key=lambda one: one.at)


def _of_run(run: TaskRun) -> Iterator[Happening]:
    from sequential_adaptor.cli import formats

    task = run.task_identifier
    if run.created_at is not None:
        yield Happening(run.created_at, "submitted", run.id, task, formats.short(run.input))
    if run.started_at is not None:
        yield Happening(run.started_at, "started", run.id, task)
    if run.ended_at is not None:
        end = formats.error_line(run.error) if run.error is not None else formats.short(run.result)
        yield Happening(run.ended_at, run.status, run.id, task, end)


def _of_call(call: StackRun) -> Iterator[Happening]:
    from sequential_adaptor.cli import formats

    title = formats.call_title(call)
    if call.created_at is not None:
        yield Happening(call.created_at, "call", call.id, title)
    if call.ended_at is not None:
        yield Happening(call.ended_at, call.status, call.id, title, formats.outcome(call))


def _of_event(event: StackRun) -> Iterator[Happening]:
    """A timer, an event, a cancel: it happens all at once."""
    from sequential_adaptor.cli import formats

    if event.ended_at is not None:
        data = formats.short(event.result) if event.operation.startswith("event:") else ""
        yield Happening(event.ended_at, "happened", event.id, event.operation, data)


async def _history(settings: Settings, run_id: str | None) -> None:
    from rich.table import Table

    from sequential_adaptor.cli import console, formats, querying
    from sequential_adaptor.records import time_to_text

    async with settings.engine() as engine:
        run = await querying.run_of(engine, run_id)
        story = await querying.story_of(engine, run)
    found = happenings(story)
    if settings.as_json:
        lines = [
            {"at": time_to_text(one.at), "event": one.event, "id": one.id, "what": one.what, "outcome": one.outcome}
            for one in found
        ]
        console.print_json(lines)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False, expand=True)
    for ratio in (None, None, 1, 1):
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio)
    for one in found:
        table.add_row(formats.clock(one.at), one.event, one.what, one.outcome)
    console.out().print(f"{run.task_identifier}  {run.id}  {run.created_at:%Y-%m-%d}\n")
    console.out().print(table)
