"""``sequential list``: the runs there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from sequential_adaptor import values
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.lifecycles import TASK_RUN

if TYPE_CHECKING:
    from rich.table import Table

    from sequential_adaptor.records import TaskRun

_ROOM_FOR_RESULTS = 12


@click.command(short_help="List runs, newest first.")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many, newest first.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--task", help="Only runs of this task.")
@click.option("--status", type=click.Choice(TASK_RUN.states), multiple=True, help="Only runs with this status.")
@shared_options
def command(limit: int, everything: bool, task: str | None, status: tuple[str, ...]) -> None:
    """List runs, newest first."""
    settings = Settings.current()
    filter: dict[str, Any] = {"task_identifier": task} if task is not None else {}
    if status:
        filter["status"] = [*status]
    show = _print_json if settings.as_json else _print_table
    run_async(lambda: show(settings, filter, None if everything else limit))


async def _print_json(settings: Settings, filter: dict[str, Any], limit: int | None) -> None:
    """Written as it is read: a store may hold more runs than memory does."""
    from sequential_adaptor.cli.console import write
    from sequential_adaptor.cli.querying import runs
    from sequential_adaptor.cli.rows import run_row

    before = "[\n"
    async with settings.engine() as engine:
        async for run in runs(engine, filter, limit):
            write(before + values.encode(run_row(run)))
            before = ",\n"
    write("[]\n" if before == "[\n" else "\n]\n")


async def _print_table(settings: Settings, filter: dict[str, Any], limit: int | None) -> None:
    from sequential_adaptor.cli.console import out, say
    from sequential_adaptor.cli.querying import PAGE, runs

    async with settings.engine() as engine:
        found = [run async for run in runs(engine, filter, None if limit is None else limit + 1)]
    if not found:
        say("No runs." if filter else "No runs yet. Make one: sequential new hello && sequential run hello.py")
        return
    shown = found if limit is None else found[:limit]
    for begin in range(0, len(shown), PAGE):
        out().print(_table(shown[begin : begin + PAGE], out().width))
    if len(found) > len(shown):
        say(f"The newest {len(shown)}; --limit N shows more, --all everything.")


def _table(found: list[TaskRun], width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    from sequential_adaptor.cli import formats

    now = datetime.now(UTC)
    rows = [
        (run.id, run.task_identifier, formats.status_word(run.status), formats.age(run.created_at, now))
        for run in found
    ]
    left = width - sum(max(len(row[column]) for row in rows) + 2 for column in range(4))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("id", "task", "status", "age"):
        table.add_column(name, no_wrap=True)
    if left >= _ROOM_FOR_RESULTS:
        table.add_column("result", no_wrap=True, overflow="ellipsis", max_width=left)
    for run, (id, task, status, age) in zip(found, rows, strict=True):
        cells: list[str | Text] = [id, task, Text(status, style=formats.STYLES[run.status]), age]
        table.add_row(*cells, *([_outcome(run)] if left >= _ROOM_FOR_RESULTS else []))
    return table


def _outcome(run: TaskRun) -> str:
    from sequential_adaptor.cli import formats

    if run.error is not None:
        return formats.error_line(run.error)
    return formats.short(run.result, 200) if run.status == "completed" else ""
