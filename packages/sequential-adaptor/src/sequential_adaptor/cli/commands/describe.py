"""``sequential describe``: a task function as it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async

if TYPE_CHECKING:
    from sequential_adaptor.engine import Engine
    from sequential_adaptor.records import TaskFunction, TaskRun
    from sequential_adaptor.values import JSON

_RUNS = 5


@click.command(short_help="Describe a stored task function, or list them.")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--version", "version", metavar="SHA256", help="Another version than the current one.")
@click.option("--code", is_flag=True, help="Print the source, and nothing else.")
@shared_options
def command(name: str | None, version: str | None, code: bool) -> None:
    """Describe a stored task function; without a name, list them."""
    settings = Settings.current()
    run_async(lambda: _list(settings) if name is None else _describe(settings, name, version, code))


async def _list(settings: Settings) -> None:
    from sequential_adaptor.cli.console import print_json, say, write
    from sequential_adaptor.cli.rows import function_row

    async with settings.engine() as engine:
        names = await engine.adapter.list_task_functions()
        functions = [await engine.adapter.get_task_function(name) for name in names]
    if settings.as_json:
        print_json([function_row(function) for function in functions if function is not None])
    elif not names:
        say("No task functions. Store one: sequential publish FILE.py")
    else:
        write("".join(f"{name}\n" for name in names))


async def _describe(settings: Settings, name: str, version: str | None, code: bool) -> None:
    from sequential_adaptor.cli.console import print_json, write
    from sequential_adaptor.cli.querying import runs
    from sequential_adaptor.cli.rows import function_row, run_row
    from sequential_adaptor.errors import TaskFunctionNotFound

    async with settings.engine() as engine:
        function = await engine.adapter.get_task_function(name, version)
        if function is None:
            raise TaskFunctionNotFound(name, version, await _names(engine))
        latest = [run async for run in runs(engine, {"task_identifier": name}, _RUNS)]
    if settings.as_json:
        row: dict[str, JSON] = {**function_row(function), "runs": [run_row(run) for run in latest]}
        print_json({**row, "code": function.code})
    elif code:
        write(function.code if function.code.endswith("\n") else f"{function.code}\n")
    else:
        _print(function, latest)


async def _names(engine: Engine) -> list[str]:
    from sequential_adaptor.errors import NotOffered

    try:
        return await engine.adapter.list_task_functions()
    except NotOffered:
        return []


def _print(function: TaskFunction, latest: list[TaskRun]) -> None:
    from datetime import UTC, datetime

    from sequential_adaptor.cli import formats
    from sequential_adaptor.cli.console import out

    now = datetime.now(UTC)
    stored = formats.age(function.created_at, now)
    console = out()
    console.print(
        f"{function.identifier}  version {function.version[:12]}, stored {stored} ago, runner {function.runner}"
    )
    summary = _summary(function.code)
    if summary:
        console.print(formats.printable(summary))
    if function.modules:
        console.print(f"with modules {', '.join(sorted(function.modules))}")
    console.print(f"{len(function.code.splitlines())} lines; --code prints them\n")
    for run in latest:
        console.print(f"{run.id}  {formats.status_word(run.status)}  {formats.age(run.created_at, now)} ago")
    if not latest:
        console.print(f"No runs yet. Run it: sequential run {function.identifier}")


def _summary(code: str) -> str:
    """The first line of the module's docstring, or of its entry's."""
    import ast

    try:
        module = ast.parse(code)
    except SyntaxError:
        return ""
    functions = [node for node in module.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]
    found = next((text for node in (module, *functions) if (text := ast.get_docstring(node))), "")
    return found.partition("\n")[0]
