"""Where output goes: results and records to standard output, everything said beside them to standard error."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import click

from sequential_adaptor import values
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """Standard output; without colours where it is no terminal."""
    from rich.console import Console

    if os.environ.get("COLUMNS") == "0":  # as terminals say that do not know; nothing would be shown
        del os.environ["COLUMNS"]
    # Nothing in what tasks say is markup, and nothing of it is guessed at.
    return Console(highlight=False, markup=False, emoji=False)


def take_any_text() -> None:
    """Let a terminal that cannot show a character show its number, rather than stop the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_what_is_closed() -> None:
    """Give a process that was started without some of its streams (``<&-``, ``>&-``) empty ones.

    Without, the first files that it opens would stand in their place, and whatever it starts would write into them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # open as long as the process


def print_json(value: JSON) -> None:
    """One JSON value on standard output, readable, in UTF-8 whatever the locale."""
    write(values.encode_readable(value) + "\n")


def write(text: str) -> None:
    """Text on standard output, exactly, in UTF-8."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8"))
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """A line for people, on standard error."""
    click.echo(text, err=True)


def draws_lines() -> bool:
    """Whether the terminal can show more than ASCII."""
    return "utf" in (out().encoding or "").lower()
