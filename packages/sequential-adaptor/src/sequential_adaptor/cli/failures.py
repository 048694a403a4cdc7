"""What a user sees when a command fails: what happened, and what to do next."""

from __future__ import annotations

from collections.abc import Callable

import click

from sequential_adaptor import errors

FAILED = 1

Hint = Callable[[Exception], str]


class CommandFailed(click.ClickException):
    """A command that has failed, with its own way on. Exit code 1."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def exit_code(error: Exception) -> int:
    """2 for wrong usage, else 1."""
    return error.exit_code if isinstance(error, click.ClickException) else FAILED


def report(error: Exception) -> None:
    """Say on standard error what went wrong and what helps."""
    if isinstance(error, click.UsageError):
        error.show()
        return
    message = error.format_message() if isinstance(error, click.ClickException) else _message(error)
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {_sentence(message)}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"       {note}", err=True)
    click.echo(hint_for(error), err=True)


def hint_for(error: Exception) -> str:
    """The next thing to try."""
    if isinstance(own := getattr(error, "hint", None), str):
        return own
    for kind, hint in _HINTS:
        if isinstance(error, kind):
            return hint(error)
    return "This is not your fault. See where it comes from: the same command with --debug"


def _message(error: Exception) -> str:
    if isinstance(error, errors.SequentialError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isalpha() and not text.partition(" ")[0].count(".") else text


def _show(error: Exception) -> str:
    return f"Look at its calls: sequential show {getattr(error, 'run_id', '')}"


def _show_or_retry(error: Exception) -> str:
    return f"{_show(error)}\nGo on at the call that failed: sequential retry {getattr(error, 'run_id', '')}"


def _constant(text: str) -> Hint:
    return lambda _: text


_HINTS: tuple[tuple[type[Exception], Hint], ...] = (
    (errors.TaskFailed, _show_or_retry),
    (errors.TaskCancelled, _show),
    (errors.CallNotFound, _show),
    (errors.CannotGoBack, _show),
    (errors.QueueNotFound, _constant("See what there is: sequential queue list")),
    (errors.ScheduleNotFound, _constant("See what there is: sequential schedule list")),
    (errors.TaskFunctionNotFound, _constant("Run a file as it is: sequential run FILE.py")),
    (errors.RunPruned, _constant("See what there is: sequential list")),
    (errors.RecordNotFound, _constant("See what there is: sequential list")),
    (errors.RecordExists, _constant("Choose another --id, or leave it away to have one made.")),
    (errors.UnknownName, _constant("See what is installed: sequential config")),
    (errors.PluginError, _constant("See what is installed: sequential doctor")),
    (errors.StorageDamaged, _constant("Nothing was changed. See what is well and what is not: sequential doctor")),
    (errors.NotOffered, _constant("Use a storage that has it: sequential config shows which one is in use.")),
    (errors.StorageError, _constant("See what is wrong with it: sequential doctor")),
    (errors.RegistryError, _constant("See what is installed: sequential config")),
    (errors.InvalidId, _constant("Choose a name of that form.")),
    (errors.SequentialError, _constant("More about the command: the same with --help")),
    (FileNotFoundError, _constant("Check the path, or make a task file: sequential new NAME")),
    (OSError, _constant("Check that the path exists and may be written, then try again.")),
)
