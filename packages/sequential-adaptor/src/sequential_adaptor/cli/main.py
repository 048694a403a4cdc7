"""``sequential``: one command of several, each found in the registry like any plug-in's."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from sequential_adaptor.cli.console import open_what_is_closed, take_any_text
from sequential_adaptor.cli.failures import exit_code, report
from sequential_adaptor.cli.loading import CommandGroup
from sequential_adaptor.cli.options import debug_option, json_option, plugin_option, storage_option
from sequential_adaptor.cli.settings import Settings

INTERRUPTED = 130
_A_MOMENT = 0.5


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "obj": None})
@click.version_option(package_name="sequential-adaptor", message="sequential-adaptor %(version)s")
@storage_option
@json_option
@debug_option
@plugin_option
def sequential() -> None:
    """Durable tasks over storage you already have: plain async Python that stops at every outside call and goes on in
    any process.

    Try it: sequential demo
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    code = run(arguments)
    try:
        _let_threads_end()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if _threads():
        # Python would wait for them, be it an hour. What they do was given up or given back, and is nobody's any more.
        atexit._run_exitfuncs()
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _threads() -> list[threading.Thread]:
    """Those that Python waits for: a step, or a service, that is not async and has been given up."""
    return [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]


def _let_threads_end() -> None:
    end = time.monotonic() + _A_MOMENT
    for one in _threads():
        one.join(max(0.0, end - time.monotonic()))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    settings = Settings()
    open_what_is_closed()
    take_any_text()
    try:
        code = sequential.main(arguments, prog_name="sequential", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nInterrupted. {settings.way_on}".rstrip(" "), err=True)
        return INTERRUPTED
    except Exception as error:
        if settings.debug and not isinstance(error, click.ClickException):
            raise
        report(error)
        return exit_code(error)
    return code if isinstance(code, int) else 0
