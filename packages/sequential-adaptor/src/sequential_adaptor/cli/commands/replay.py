"""``sequential replay``: would recorded runs go the same way on today's code?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async

if TYPE_CHECKING:
    from rich.console import Console

    from sequential_adaptor.engine import Engine
    from sequential_adaptor.records import TaskFunction
    from sequential_adaptor.testing.replaying import Divergence, History, ReplayReport

UNFINISHED = ("pending", "running", "suspended")


@click.command(short_help="Replay recorded runs on today's code, before it is deployed.")
@click.argument("recorded", metavar="[RUN_ID|FILE|FOLDER]...", nargs=-1)
@click.option("--code", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Today's code.")
@click.option("--task", metavar="NAME", help="Runs of this task function, where none are named; the file's name.")
@click.option("--entry", help="The function to begin with, as in `sequential publish`.")
@click.option("--unfinished", is_flag=True, help="Of those, only runs that have not ended.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many of those, newest first."
)
@shared_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Run today's code through what was recorded of runs, and say where it would part from them.

    Runs are named by their ids, or by files that `sequential export` wrote; without either, the newest ones of a task
    function are taken. Without --code it is the version that is stored as the current one. Nothing is performed, sent
    or stored. Exit code 1 where a run parts.
    """
    asked = Asked(**options)
    asked.files += [one for one in asked.recorded if Path(one).exists()]
    if not asked.recorded and asked.name is None:
        raise click.UsageError("say which runs: RUN_ID..., FILE..., or --task NAME for the newest of a task function")
    settings = Settings.current()
    report = run_async(lambda: _replay(settings, asked))
    _print(settings, report)
    if not report.ok:
        context.exit(1)


@dataclass(slots=True)
class Asked:
    """What was asked for; ``files`` are those of ``recorded`` that are paths."""

    recorded: tuple[str, ...]
    code: str | None
    task: str | None
    entry: str | None
    unfinished: bool
    limit: int
    files: list[str] = field(default_factory=list)

    @property
    def name(self) -> str | None:
        """The task function whose runs are meant."""
        return self.task or (Path(self.code).stem if self.code is not None else None)


async def _replay(settings: Settings, asked: Asked) -> ReplayReport:
    from sequential_adaptor.testing.replaying import ReplayReport, replay

    async with settings.engine() as engine:
        histories = await _histories(engine, asked)
        if asked.code is not None:
            return await replay(histories, Path(asked.code), entry=asked.entry)
        replayed = [await replay([one], await _current(engine, one), entry=asked.entry) for one in histories]
    return ReplayReport([run for report in replayed for run in report.runs])


async def _histories(engine: Engine, asked: Asked) -> list[History]:
    from sequential_adaptor.errors import TaskFunctionNotFound
    from sequential_adaptor.testing.replaying import read_histories, record_histories

    ids = [one for one in asked.recorded if one not in asked.files]
    found = [history for file in asked.files for history in read_histories(file)]
    if ids or not asked.files:
        status = UNFINISHED if asked.unfinished else None
        found += await record_histories(engine, ids, task=asked.name, status=status, limit=asked.limit)
    if not found and asked.task is not None and await engine.adapter.get_task_function(asked.task) is None:
        raise TaskFunctionNotFound(asked.task)  # a slip of the pen is no success
    return found


async def _current(engine: Engine, history: History) -> TaskFunction:
    from sequential_adaptor.errors import TaskFunctionNotFound

    found = await engine.adapter.get_task_function(history.run.task_identifier)
    if found is None:
        raise TaskFunctionNotFound(history.run.task_identifier)
    return found


def _print(settings: Settings, report: ReplayReport) -> None:
    from sequential_adaptor.cli.console import out, print_json

    if settings.as_json:
        print_json(report.to_json())
        return
    console = out()
    for run in report.runs:
        verdict = "replays" if run.divergence is None else "diverges"
        console.print(f"{run.run}  {run.status}  {run.calls} calls  {verdict}", soft_wrap=True)
        if run.divergence is not None:
            _print_divergence(console, run.divergence)
    console.print(str(report).partition("\n")[0])


def _print_divergence(console: Console, found: Divergence) -> None:
    from sequential_adaptor.cli.formats import printable

    sides = (("at", found.line), ("call", found.call), ("recorded", found.recorded), ("now", found.now))
    for title, text in sides:
        if text:
            console.print(f"  {title:<9} {printable(text)}", soft_wrap=True)
