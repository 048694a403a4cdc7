"""``sequential queue``: how many runs are on their way at once, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.options import debug_option, json_option, shared_options, storage_option
from sequential_adaptor.cli.parsing import NOTHING, Count, Rate
from sequential_adaptor.cli.settings import Settings, with_engine

if TYPE_CHECKING:
    from sequential_adaptor.engine import Engine
    from sequential_adaptor.engine.queues.desk import Queue
    from sequential_adaptor.values import JSON


@click.group(short_help="Say how many runs go at once, and see who waits.")
def command() -> None:
    """Queues: how many runs are on their way at once, how many a period, and in which order.

    A run goes through the queue that it is submitted to: sequential submit TASK --queue NAME.
    """


@command.command("set")
@click.argument("name")
@click.option("--limit", type=Count(), help="How many are on their way at once, over all workers; or none.")
@click.option("--per-worker", type=Count(), help="How many a worker carries at once; or none.")
@click.option("--rate", type=Rate(), metavar="N/TIME", help="How many are admitted per period: 100/1min; or none.")
@storage_option
@debug_option
def set_queue(name: str, **wanted: Any) -> None:
    """Make a queue, or change one; what is not named stays as it is.

    What was admitted before stays admitted.
    """
    changes: dict[str, Any] = {
        key: None if value == NOTHING else value for key, value in wanted.items() if value is not None
    }

    async def act(engine: Engine) -> str:
        await engine.set_queue(name, **changes)
        return f"queue {name}: {_allowed(await engine.queue(name))}"

    say(with_engine(act))


@command.command("list")
@storage_option
@json_option
@debug_option
def list_queues() -> None:
    """List the queues."""
    found = with_engine(lambda engine: engine.queues())
    if Settings.current().as_json:
        print_json([_row(queue) for queue in found])
    elif found:
        _print_table(found)
    else:
        say("No queues. Make one: sequential queue set mail --limit 10")


@command.command("show")
@click.argument("name")
@shared_options
def show_queue(name: str) -> None:
    """Show one queue."""
    queue = with_engine(lambda engine: engine.queue(name))
    if Settings.current().as_json:
        print_json(_row(queue))
    else:
        _print_table([queue])


@command.command("pause")
@click.argument("name")
@storage_option
@debug_option
def pause_queue(name: str) -> None:
    """Admit nothing more; what is on its way goes on."""
    with_engine(lambda engine: engine.pause_queue(name))
    say(f"paused queue {name}; go on: sequential queue resume {name}")


@command.command("resume")
@click.argument("name")
@storage_option
@debug_option
def resume_queue(name: str) -> None:
    """Admit again."""
    with_engine(lambda engine: engine.resume_queue(name))
    say(f"resumed queue {name}")


@command.command("delete")
@click.argument("name")
@storage_option
@debug_option
def delete_queue(name: str) -> None:
    """Delete a queue through which nothing goes any more."""
    with_engine(lambda engine: engine.delete_queue(name))
    say(f"deleted queue {name}")


def _allowed(queue: Queue) -> str:
    from sequential_adaptor.cli import formats

    settings = queue.settings
    parts = [
        f"{settings.limit} at once" if settings.limit is not None else "any number at once",
        f"{settings.per_worker} per worker" if settings.per_worker is not None else "",
        f"{settings.rate.count} per {formats.period(settings.rate.period)}" if settings.rate is not None else "",
        "paused" if settings.paused else "",
    ]
    return ", ".join(part for part in parts if part)


def _row(queue: Queue) -> dict[str, JSON]:
    settings = queue.settings
    rate = settings.rate
    return {
        "name": queue.name,
        "limit": settings.limit,
        "per_worker": settings.per_worker,
        "rate": None if rate is None else {"count": rate.count, "seconds": rate.period.total_seconds()},
        "paused": settings.paused,
        "on_their_way": queue.on_their_way,
        "waiting": queue.waiting,
    }


def _print_table(queues: list[Queue]) -> None:
    from rich.table import Table

    from sequential_adaptor.cli.console import out
    from sequential_adaptor.engine.queues.desk import MOST_COUNTED

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("queue", "allows", "on their way", "waiting"):
        table.add_column(name, no_wrap=True)
    for queue in queues:
        more = "+" if queue.waiting >= MOST_COUNTED else ""
        table.add_row(queue.name, _allowed(queue), str(queue.on_their_way), f"{queue.waiting}{more}")
    out().print(table)
