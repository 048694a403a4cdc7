"""``sequential sync``: one storage into another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.options import debug_option, json_option
from sequential_adaptor.cli.settings import Settings, run_async

if TYPE_CHECKING:
    from sequential_adaptor.storage.locations import Location
    from sequential_adaptor.syncing import Selection, Summary

_REMEDY = (
    "Stop the workers there (SIGTERM gives everything back), or wait until the leases of dead ones have ended. Or copy"
    " what has ended, and nothing else: --ended-only"
)


@click.command(short_help="Copy a storage into another, and move what has not ended.")
@click.argument("source")
@click.argument("target")
@click.option("--task", help="Only runs of this task.")
@click.option("--run", "run_id", help="Only this run.")
@click.option("--ended-only", is_flag=True, help="Leave alone what has not ended.")
@json_option
@debug_option
def command(source: str, target: str, task: str | None, run_id: str | None, ended_only: bool) -> None:
    """Copy functions, keystore, queues and runs from SOURCE to TARGET, two storage URLs.

    Ids, times and results are the same there. A run that has not ended is moved: it goes on at TARGET, and at SOURCE it
    ends as cancelled, with an error that says where it went. Interrupted, or run again, it does what is left to do.
    """
    from sequential_adaptor.syncing import Selection

    settings = Settings.current()
    settings.way_on = "Nothing is lost, and nothing runs twice: the same command goes on with it."
    summary = run_async(lambda: _sync(source, target, Selection(task, run_id, ended_only)))
    if settings.as_json:
        print_json(summary.to_json())
    else:
        _tell(summary, target)
    if summary.refused:
        raise CommandFailed(
            f"{len(summary.refused)} run{'' if len(summary.refused) == 1 else 's'} could not be taken over",
            "The reasons are above. The others are done; the same command tries these again.",
        )


async def _sync(source: str, target: str, selection: Selection) -> Summary:
    from sequential_adaptor.registry import create_adapter
    from sequential_adaptor.storage.locations import parse_storage
    from sequential_adaptor.syncing import RunsInFlight, sync

    here, there = parse_storage(source), parse_storage(target)
    if _meaning(here) == _meaning(there):
        raise CommandFailed("SOURCE and TARGET are one storage", "Name two: sequential sync folder:./a folder:./b")
    async with create_adapter(source) as one, create_adapter(target) as other:
        with _progress() as show:
            try:
                return await sync(one, other, selection, where=there.display, on_progress=show)
            except RunsInFlight as error:
                raise CommandFailed(f"nothing was copied: {error}", _REMEDY) from error


def _meaning(location: Location) -> tuple[str, dict[str, Any]]:
    """What is compared: two ways to write one path are one storage."""
    plain = {
        name: os.path.realpath(value) if isinstance(value, str) else value for name, value in location.config.items()
    }
    return location.backend, plain


@contextmanager
def _progress() -> Iterator[Callable[[Summary], None]]:
    """A line that says how far it is, on a terminal only."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("syncing") as status:
        yield lambda summary: status.update(f"{summary.runs:,} runs, {summary.calls:,} calls")


def _tell(summary: Summary, target: str) -> None:
    say(
        f"{summary.copied:,} runs copied, {len(summary.moved):,} moved, {summary.there:,} there already;"
        f" {summary.calls:,} calls, {summary.functions:,} versions of functions, {summary.keys:,} keys"
    )
    if summary.queues:
        say(f"queues that the target has now: {', '.join(summary.queues)}")
    if summary.moved:
        say(f"What was moved goes on at the target: sequential work --storage {_shown(target)}")
    if summary.left_open:
        say(f"{summary.left_open:,} that have not ended were left alone (--ended-only)")
    if summary.kept:
        say(f"keys that have another value at the target, and keep it: {', '.join(summary.kept)}")
    for note in summary.notes:
        say(f"note: {note}")
    for run_id, reason in summary.refused.items():
        say(f"run {run_id}: {reason}")


def _shown(target: str) -> str:
    from sequential_adaptor.storage.locations import parse_storage

    return parse_storage(target).display
