"""Options that commands share. Each may stand before or after the command, ``--plugin`` before or after some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sequential_adaptor.cli.settings import Settings, run_async

F = TypeVar("F", bound=Callable[..., Any])


def storage_option(function: F) -> F:
    """``--storage URL``"""
    return _setting(
        "storage",
        "--storage",
        metavar="URL",
        help="Where the records are: folder:./tasks, sqlite:///tasks.db, postgresql://...",
    )(function)


def json_option(function: F) -> F:
    """``--json``"""
    return _setting("as_json", "--json", is_flag=True, help="Print JSON, and nothing else, on standard output.")(
        function
    )


def debug_option(function: F) -> F:
    """``--debug``"""
    return _setting("debug", "--debug", is_flag=True, help="Show where an error comes from.")(function)


def plugin_option(function: F) -> F:
    """``--plugin FILE_OR_MODULE``, as often as needed; loaded where it stands, so that what it registers is there."""

    def load(context: click.Context, parameter: click.Parameter, plugins: tuple[str, ...]) -> None:
        if plugins and not context.resilient_parsing:
            from sequential_adaptor.registry import load_plugins

            run_async(lambda: load_plugins(plugins))

    return click.option(
        "--plugin",
        multiple=True,
        is_eager=True,  # --help lists the commands of a plug-in too
        expose_value=False,
        callback=load,
        metavar="FILE_OR_MODULE",
        help="Load services, runners, adapters or commands from it: it has register(registry).",
    )(function)


def shared_options(function: F) -> F:
    """``--storage``, ``--json`` and ``--debug``, for a command that prints records."""
    return storage_option(json_option(debug_option(function)))


def lease_option(default: float) -> Callable[[F], F]:
    """``--lease SECONDS``"""
    return click.option(
        "--lease",
        type=click.FloatRange(0.1, 86_400),
        metavar="SECONDS",
        default=default,
        show_default=True,
        help="Should this process be killed: how long until others may go on with what it held.",
    )


def _setting(name: str, *declarations: str, **attributes: Any) -> Callable[[F], F]:
    def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(Settings), name, value)

    return click.option(*declarations, name, expose_value=False, callback=remember, **attributes)
