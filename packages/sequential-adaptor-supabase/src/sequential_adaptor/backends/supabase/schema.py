"""Whether the database has the schema that this version of the package needs."""

from __future__ import annotations

from sequential_adaptor.backends.supabase.door import Door
from sequential_adaptor.backends.supabase.errors import SchemaMissing
from sequential_adaptor.backends.supabase.migrating import migrations


async def check(door: Door) -> None:
    """Raise :class:`SchemaMissing` where a migration is missing. Newer ones, unknown to this version, are fine."""
    rows = await door.call("sequential_schema_versions", {})
    applied = {row["version"] for row in rows}
    missing = [one.name for one in migrations() if one.version not in applied]
    if missing:
        raise SchemaMissing(door.address, f"it lacks {', '.join(missing)}")
