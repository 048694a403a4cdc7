"""``sequential run``: a task from its beginning, or from where it was, to its end."""

from __future__ import annotations

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.options import lease_option, plugin_option, shared_options
from sequential_adaptor.cli.parsing import JsonValue, RunId, Task
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.records import TaskRun
from sequential_adaptor.values import JSON


@click.command(short_help="Run a task to its end and print its result.")
@click.argument("task", metavar="FILE_OR_NAME")
@click.option("--input", "-i", "input", type=JsonValue(), metavar="JSON", help="The task's input; @file or - reads it.")
@click.option("--id", "run_id", type=RunId(), help="The run's id. One that exists goes on from where it is.")
@click.option("--name", help="The name to publish a file under; its own by default.")
@click.option("--runner", default="fetch", show_default=True, help="The runner of a file.")
@lease_option(10.0)
@plugin_option
@shared_options
@click.pass_context
def command(
    context: click.Context,
    task: str,
    input: JSON,
    run_id: str | None,
    name: str | None,
    runner: str,
    lease: float,
) -> None:
    """Run a task to its end and print its result.

    The result goes to standard output as JSON, everything else to standard error. Interrupted, the run stays where it
    is; the same --id goes on from there.
    """
    from sequential_adaptor.cli.carrying import Wish, carry

    settings = Settings.current()
    given = context.get_parameter_source("input") is not click.core.ParameterSource.DEFAULT
    wish = Wish(Task.of(task, name), runner, input, run_id, input_given=given)
    run = run_async(lambda: carry(settings, wish, lease))
    if settings.as_json:
        from sequential_adaptor.cli.rows import run_row

        print_json(run_row(run))
    elif run.status == "completed":
        print_json(run.result)
    if run.status != "completed":
        raise _ended_badly(run, debug=settings.debug)


def _ended_badly(run: TaskRun, *, debug: bool) -> Exception:
    """The error of a run that did not complete; where it came from has been said."""
    from sequential_adaptor.cli.formats import error_place, printable
    from sequential_adaptor.errors import TaskCancelled, TaskFailed

    if run.status == "cancelled":
        return TaskCancelled(run.id)
    found = run.error if isinstance(run.error, dict) else {}
    place = printable(str(found.get("traceback", ""))).rstrip() if debug else error_place(run.error)
    if place:
        say(place)
    return TaskFailed(run.id, found)
