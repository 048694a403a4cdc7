"""``sequential migrate``: the schema of a storage, brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sequential_adaptor.cli.console import print_json, say
from sequential_adaptor.cli.options import shared_options
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.storage.locations import find_storage

if TYPE_CHECKING:
    from sequential_adaptor.storage.locations import Location
    from sequential_adaptor.storage.migrating import Migrated


@click.command(short_help="Bring the schema of a database up to date.")
@shared_options
def command() -> None:
    """Bring the schema of the storage up to date, and say what was done.

    Databases need this once, and again after an update of their package; it is done from any machine, by as many at a
    time as like to. A folder and a SQLite file need it never: they are made, and kept up to date, when they are opened.
    """
    settings = Settings.current()
    location = find_storage(settings.storage)
    done = run_async(lambda: _migrate(location))
    if settings.as_json:
        print_json({"storage": location.display, **(done.to_json() if done else {"applied": [], "total": 0})})
    else:
        say(f"{location.display}: {done or 'nothing to do: it is made, and kept up to date, when it is opened'}")


async def _migrate(location: Location) -> Migrated | None:
    """Have the backend do it; ``None`` where it has nothing to do."""
    from sequential_adaptor import registry

    migrate = getattr(registry.get("adapter", location.backend), "migrate", None)
    if migrate is None:
        return None
    done: Migrated = await migrate(**location.config)
    return done
