"""``sequential config``: what is set, and where."""

from __future__ import annotations

import os

import click

from sequential_adaptor import registry
from sequential_adaptor.cli.console import print_json, write
from sequential_adaptor.cli.loading import OURS
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings
from sequential_adaptor.storage.locations import Location, find_storage
from sequential_adaptor.values import JSON

_SOURCES = {"argument": "the command line", "default": "nobody says otherwise"}
_VARIABLES = (
    "SEQUENTIAL_STORAGE",
    "DATABASE_URL",
    "SUPABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "SERVICE_BASE_URL",
    "SERVICE_AUTH_TOKEN",
)


@click.command(short_help="Show which storage is used, and what is installed.")
@shared_options
def command() -> None:
    """Show which storage is used and who says so, and what is installed.

    Storage is what the first of these says: --storage, SEQUENTIAL_STORAGE, DATABASE_URL, SUPABASE_URL with
    SUPABASE_SERVICE_KEY, [tool.sequential] storage in pyproject.toml, else folder:./tasks.
    """
    settings = Settings.current()
    location = find_storage(settings.storage)
    if settings.as_json:
        print_json(_as_json(location))
    else:
        write("".join(f"{line}\n" for line in _lines(location)))


def said_by(location: Location) -> str:
    """Who says that this is the storage."""
    return _SOURCES.get(location.source, location.source)


def _as_json(location: Location) -> JSON:
    return {
        "storage": location.display,
        "adapter": location.backend,
        "source": location.source,
        "environment": [name for name in _VARIABLES if os.environ.get(name)],
        "installed": {type: registry.list(type) for type in registry.TYPES},
    }


def _lines(location: Location) -> list[str]:
    lines = [f"storage   {location.display}  ({said_by(location)})"]
    services = os.environ.get("SERVICE_BASE_URL")
    lines.append(f"services  {services or 'SERVICE_BASE_URL is not set; services in Python need none'}")
    lines += [f"set       {name}" for name in _VARIABLES if os.environ.get(name)]
    installed = {type: registry.list(type) for type in registry.TYPES}
    installed["command"] = [name for name in installed["command"] if name not in OURS]
    return lines + [f"{type + 's':<9} {', '.join(names)}" for type, names in installed.items() if names]
