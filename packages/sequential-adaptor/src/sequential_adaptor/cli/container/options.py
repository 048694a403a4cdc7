"""Options of ``sequential container``, and the runner that they ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sequential_adaptor.cli.options import debug_option, json_option
from sequential_adaptor.errors import SequentialError

if TYPE_CHECKING:
    from sequential_adaptor.runners.container import ContainerRunner

F = TypeVar("F", bound=Callable[..., Any])

_BEFORE = "The work directory is as before."


def place_options(function: F) -> F:
    """``--state-dir``, ``--workdir``, ``--json``, ``--debug``"""
    state = click.option(
        "--state-dir",
        envvar="SEQUENTIAL_STATE_DIR",
        type=click.Path(file_okay=False),
        help="Where the layers are; .statekit by default.",
    )
    work = click.option(
        "--workdir",
        envvar="SEQUENTIAL_WORKDIR",
        type=click.Path(file_okay=False),
        help="The work directory; the state folder's own by default.",
    )
    return state(work(json_option(debug_option(function))))


def dirty_option(function: F) -> F:
    """``--on-dirty``"""
    choice = click.Choice(["error", "commit", "discard"])
    return click.option(
        "--on-dirty", type=choice, default="error", show_default=True, help="What becomes of changes by hand."
    )(function)


def command_options(function: F) -> F:
    """What may be said of a command."""
    declarations: list[Callable[[F], F]] = [
        click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="A variable; part of the key."),
        click.option("--inherit", multiple=True, metavar="NAME", help="A variable taken over from here, likewise."),
        click.option("--secret", multiple=True, metavar="NAME", help="One taken over from here, and hidden."),
        click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Kill it then."),
        click.option("--stdin", is_flag=True, help="Read standard input and hand it on."),
        click.option("--ignore", multiple=True, metavar="PATTERN", help="Files neither kept nor undone (.gitignore)."),
        click.option("--shell", metavar="WORDS", help="What goes before the command; /bin/sh -c by default."),
        click.option("--isolation", envvar="SEQUENTIAL_ISOLATION", metavar="NAME", help="none, overlay or bwrap."),
        click.option("--network", is_flag=True, help="Let bwrap have the network."),
        click.option("--bind", multiple=True, metavar="PATH", help="Let bwrap read this too."),
        dirty_option,
    ]
    for declare in reversed(declarations):
        function = declare(function)
    return function


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[ContainerRunner]:
    """A container runner, ready."""
    from sequential_adaptor.runners.container import ContainerRunner

    with hinted():
        runner = ContainerRunner(**options)
        try:
            await runner.init()
            yield runner
        finally:
            await runner.dispose()


@contextmanager
def hinted() -> Iterator[None]:
    """Errors of the container say what helps here."""
    try:
        yield
    except SequentialError as error:
        hint = _hint(error)
        if hint is not None:
            error.hint = hint  # type: ignore[attr-defined]  # `cli.failures` looks for it on any error
        raise


def _hint(error: SequentialError) -> str | None:
    from sequential_adaptor.errors import ConfigurationError, StorageDamaged
    from sequential_adaptor.runners.container import CommandFailed, IsolationUnavailable, WorkDirectoryDirty
    from sequential_adaptor.runners.container.store import (
        ArchiveRefused,
        NoRoom,
        UnknownLayer,
        UnknownPath,
        WorkDirectoryBusy,
    )

    if isinstance(error, CommandFailed):
        return f"What it has done is in {error.kept}" if error.kept is not None else f"It left no layer. {_BEFORE}"
    hints: tuple[tuple[type[SequentialError], str], ...] = (
        (
            WorkDirectoryDirty,
            "Keep it: sequential container commit MESSAGE; throw it away: sequential container rebuild",
        ),
        (WorkDirectoryBusy, "Wait for it, or work beside it: sequential container fork REF"),
        (UnknownLayer, "See what there is: sequential container history"),
        (UnknownPath, "See what it holds: sequential container diff REF"),
        (ArchiveRefused, "Nothing of it was kept. What can be imported: sequential container import --help"),
        (StorageDamaged, "Nothing was changed. See what is hit: sequential container verify"),
        (NoRoom, f"Make room, or free what nothing needs: sequential container gc. {_BEFORE}"),
        (IsolationUnavailable, "What each one is: sequential container --help"),
        (ConfigurationError, "What may be said: the same command with --help"),
    )
    return next((hint for kind, hint in hints if isinstance(error, kind)), None)
