"""``sequential schedule``: runs that begin by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from sequential_adaptor.cli.console import print_json, say, write
from sequential_adaptor.cli.options import debug_option, json_option, shared_options, storage_option
from sequential_adaptor.cli.parsing import Duration, JsonValue
from sequential_adaptor.cli.settings import Settings, with_engine
from sequential_adaptor.records import time_to_text
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.engine import Engine
    from sequential_adaptor.engine.schedules.desk import Schedule


@click.group(short_help="Start runs by the clock.")
def command() -> None:
    """Schedules: runs that begin by the clock, each time exactly one, however many workers there are."""


@command.command("add")
@click.argument("name")
@click.argument("task")
@click.option("--cron", help="'30 9 * * MON-FRI': minute, hour, day of the month, month, day of the week.")
@click.option("--zone", default="UTC", show_default=True, help="The time zone of --cron, as in Europe/Berlin.")
@click.option("--every", type=Duration(), metavar="TIME", help="15min, 12h, 7d, from now on.")
@click.option("--input", "-i", "input", type=JsonValue(), metavar="JSON", help="The task's input; @file or - reads it.")
@click.option(
    "--missed",
    type=click.Choice(["latest", "skip", "all"]),
    default="latest",
    show_default=True,
    help="Which of the times are made up that no worker was there for.",
)
@click.option(
    "--overlap",
    type=click.Choice(["allow", "skip"]),
    default="allow",
    show_default=True,
    help="Whether a run starts while the one before has not ended.",
)
@click.option("--queue", help="The queue that its runs go through.")
@click.option("--priority", type=int, help="Their priority in it.")
@click.option("--key", help="Their key in it.")
@storage_option
@debug_option
def add_schedule(name: str, task: str, input: JSON, **asked: Any) -> None:
    """Start TASK by the clock, from now on. Another schedule of that name is replaced."""

    if (asked["cron"] is None) == (asked["every"] is None):
        raise click.UsageError("say when, in one way: --cron '30 9 * * MON-FRI', or --every 15min")

    async def act(engine: Engine) -> Schedule:
        return await engine.schedule(name, task, input, **asked)

    say(f"schedule {name}: {task} {_described(found := with_engine(act))}, next {_shown(found)}")


@command.command("list")
@storage_option
@json_option
@debug_option
def list_schedules() -> None:
    """List the schedules."""
    found = with_engine(lambda engine: engine.schedules())
    if Settings.current().as_json:
        print_json([_row(schedule) for schedule in found])
    elif found:
        _print_table(found)
    else:
        say("No schedules. Make one: sequential schedule add nightly TASK --cron '0 3 * * *'")


@command.command("show")
@click.argument("name")
@shared_options
def show_schedule(name: str) -> None:
    """Show one schedule."""
    found = with_engine(lambda engine: engine.find_schedule(name))
    if Settings.current().as_json:
        print_json(_row(found))
        return
    _print_table([found])
    if found.last_run is not None:
        say(f"its last run: sequential show {found.last_run}")
    if found.problem is not None:
        say(f"it could not start a run: {found.problem}")


@command.command("next")
@click.argument("name")
@click.option("--count", "-n", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many.")
@shared_options
def next_times(name: str, count: int) -> None:
    """Print the next times at which a schedule fires, by its own clock."""

    async def act(engine: Engine) -> tuple[Schedule, list[datetime]]:
        return await engine.find_schedule(name), await engine.next_times(name, count)

    found, times = with_engine(act)
    if Settings.current().as_json:
        print_json([time_to_text(time) for time in times])
    elif times:
        write("".join(f"{_local(found, time)}\n" for time in times))
    else:
        say(f"schedule {name} is paused; go on: sequential schedule resume {name}")


@command.command("pause")
@click.argument("name")
@storage_option
@debug_option
def pause_schedule(name: str) -> None:
    """Start nothing until it is resumed."""
    with_engine(lambda engine: engine.pause_schedule(name))
    say(f"paused schedule {name}; go on: sequential schedule resume {name}")


@command.command("resume")
@click.argument("name")
@storage_option
@debug_option
def resume_schedule(name: str) -> None:
    """Go on with the next time; those in between are not made up."""
    found = with_engine(lambda engine: engine.resume_schedule(name))
    say(f"resumed schedule {name}, next {_shown(found)}")


@command.command("delete")
@click.argument("name")
@storage_option
@debug_option
def delete_schedule(name: str) -> None:
    """Delete a schedule; the runs that it has started stay as they are."""
    with_engine(lambda engine: engine.delete_schedule(name))
    say(f"deleted schedule {name}")


def _described(schedule: Schedule) -> str:
    from sequential_adaptor.cli import formats

    settings = schedule.settings
    if settings.every is not None:
        return f"every {formats.period(settings.every)}"
    return f"at {settings.cron!r} in {settings.zone}"


def _shown(schedule: Schedule) -> str:
    return "paused" if schedule.next is None else _local(schedule, schedule.next)


def _local(schedule: Schedule, time: datetime) -> str:
    return time.astimezone(ZoneInfo(schedule.settings.zone)).isoformat(sep=" ", timespec="seconds")


def _row(schedule: Schedule) -> dict[str, JSON]:
    settings = schedule.settings
    every: timedelta | None = settings.every
    return {
        "name": schedule.name,
        "task": settings.task,
        "input": settings.input,
        "cron": settings.cron,
        "zone": settings.zone,
        "every": None if every is None else every.total_seconds(),
        "missed": settings.missed,
        "overlap": settings.overlap,
        "queue": settings.queue,
        "paused": settings.paused,
        "next": None if schedule.next is None else time_to_text(schedule.next),
        "last_run": schedule.last_run,
        "problem": schedule.problem,
    }


def _print_table(schedules: list[Schedule]) -> None:
    from rich.table import Table

    from sequential_adaptor.cli.console import out

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("schedule", "task", "when", "next"):
        table.add_column(name, no_wrap=True)
    for schedule in schedules:
        table.add_row(schedule.name, schedule.settings.task, _described(schedule), _shown(schedule))
    out().print(table)
