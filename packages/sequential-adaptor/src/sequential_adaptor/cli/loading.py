"""Finding commands: by name in the registry, imported when they are needed. One that is broken hides no other."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sequential_adaptor import registry
from sequential_adaptor.errors import PluginError, UnknownName, nearest

SECTIONS: tuple[tuple[str, Sequence[str]], ...] = (
    ("Begin", ("demo", "init", "new")),
    ("Run tasks", ("run", "publish", "submit", "work", "send", "cancel", "retry", "fork", "container")),
    ("Plan", ("schedule", "queue")),
    ("Look", ("list", "show", "history", "describe", "flow", "replay")),
    ("Keep house", ("keystore", "delete", "prune", "sync", "migrate", "config", "doctor")),
    ("Write a backend", ("new-backend", "torture")),
)
OURS = frozenset(name for _, section in SECTIONS for name in section)


class CommandGroup(click.Group):
    """A group whose commands are the registry's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return registry.list("command")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        try:
            return load(cmd_name)
        except UnknownName:
            return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and not registry.has("command", name):
            raise click.UsageError(_no_such_command(name), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        plugins = ("Of plug-ins", [name for name in names if name not in OURS])
        width = max(map(len, names), default=0)
        for title, section in (*SECTIONS, plugins):
            rows = [(name.ljust(width), _summary(name)) for name in section if name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def load(name: str) -> click.Command:
    """The command of that name. Raises :class:`UnknownName`, or :class:`PluginError` for one that does not work."""
    found = registry.get("command", name)
    command = found if isinstance(found, click.Command) else found()
    if not isinstance(command, click.Command):
        raise PluginError(f"command {name!r} is {command!r}, not a click.Command")
    return command


def _summary(name: str) -> str:
    try:
        return load(name).get_short_help_str(limit=64)
    except Exception as error:
        return f"(does not work: {type(error).__name__}; `sequential {name}` says why)"


def _no_such_command(name: str) -> str:
    near = nearest(name, registry.list("command"))
    hint = f" Did you mean `sequential {near}`?" if near is not None else ""
    return f"there is no command {name!r}.{hint}"
