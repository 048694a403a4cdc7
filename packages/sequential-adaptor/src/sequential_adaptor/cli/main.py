"""``sequential``: one command of several, each found in the registry like any plug-in's."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from sequential_adaptor.cli.console import open_what_is_closed, take_any_text
from sequential_adaptor.cli.failures import exit_code, report
from sequential_adaptor.cli.loading import CommandGroup
from sequential_adaptor.cli.options import debug_option, json_option, plugin_option, storage_option
from sequential_adaptor.cli.settings import Settings

INTERRUPTED = 130


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
    sys.exit(run(arguments))


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
