"""What 100,000 calls leave behind in the tables: dead rows, sizes, and how many updates stayed within their page (HOT).

    python benchmarks/bloat.py [CALLS]

Runs of 100 steps, 32 side by side, on a server of its own with its defaults, so that autovacuum comes when it comes.
Sizes are told as they are then, and after ``VACUUM FULL``, which is as small as they can be.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sequential_adaptor import Engine

if TYPE_CHECKING:
    from parts.postgres import Postgres

STEPS, BESIDE, SUBMITTED = 100, 32, 100

_FIGURES = """
select format('%s: %s rows, %s dead, %s%% of %s updates HOT, table %s, indexes %s',
    relname, n_live_tup, n_dead_tup, round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1), 1), n_tup_upd,
    pg_size_pretty(pg_relation_size(relid)), pg_size_pretty(pg_indexes_size(relid)))
from pg_stat_user_tables where relname like 'sequential%' and n_tup_ins > 0 order by relname
"""
_SIZE = """
select pg_size_pretty(sum(pg_total_relation_size(relid))) from pg_stat_user_tables where relname like 'sequential%'
"""


async def fill(dsn: str, calls: int) -> float:
    """Make so many calls; how long it took."""
    from peers import ours

    await ours.prepare(dsn)
    begin = time.perf_counter()
    async with Engine(dsn) as engine:
        for _ in range(0, calls, STEPS * SUBMITTED):
            await asyncio.gather(*(engine.submit("main", STEPS) for _ in range(SUBMITTED)))
            await engine.work(concurrency=BESIDE, until_idle=True)
    return time.perf_counter() - begin


def main(calls: int) -> None:
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from parts.postgres import Postgres

    with Postgres.running(18, durable=True) as server:
        database = server.new_database()
        spent = asyncio.run(fill(server.dsn(database), calls))
        print(f"{calls:,} calls in {spent:.0f} s")
        time.sleep(2.0)  # sessions that have ended tell what they did
        tell(server, database)


def tell(server: Postgres, database: str) -> None:
    print(server.sql(_FIGURES, database))
    before = server.sql(_SIZE, database)
    server.sql("vacuum full", database)
    print(f"all together {before}, and {server.sql(_SIZE, database)} after VACUUM FULL")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
