"""Workers with a connection string and workers with REST share one queue, and everything that can go away does.

``python -m parts.soak --tasks 4000 --kills 200`` in the folder of the tests. While it runs, Postgres is restarted with
``immediate`` every few seconds, connections are terminated in between, the gateway loses a share of all answers, and
workers are killed (SIGKILL). What is left is then looked at by ``sequential_adaptor.testing.torture``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from parts.pgbouncer import Bouncer
from parts.postgres import Postgres
from parts.project import Project

from sequential_adaptor.backends.supabase import SupabaseAdapter
from sequential_adaptor.testing.torture import Report, torture


@dataclass
class Disturber:
    """Restarts the server and terminates connections, in turn and at random moments, for as long as it is on."""

    project: Project
    every: float
    seed: int
    restarts: int = 0
    terminated: int = 0

    @contextlib.asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        """Disturb while the context lasts; the server is there when it ends."""
        over = asyncio.Event()
        disturbing = asyncio.create_task(self._disturb(over))
        try:
            yield
        finally:
            over.set()
            await disturbing

    async def _disturb(self, over: asyncio.Event) -> None:
        chance = random.Random(f"disturber:{self.seed}")
        server, database = self.project.server, self.project.database
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), chance.uniform(0.2, 1.0) * self.every)
                return
            if chance.random() < 0.5:
                await asyncio.to_thread(server.restart, "immediate")
                self.restarts += 1
            else:
                self.terminated += await asyncio.to_thread(server.terminate_connections, database)


async def soak(
    server: Postgres, bouncer: Bouncer, *, tasks: int, kills: int, seed: int, every: float, lost: float, workers: int
) -> tuple[Report, str]:
    """Torture a new database in three ways at once; the report, and what was done besides."""
    database = server.new_database()
    await SupabaseAdapter.migrate(dsn=server.dsn(database))
    with Project.running(server, database, seed) as project:
        project.gateway.share = lost
        by_rest = f"supabase+{project.url}?service_key={quote(project.secret_key)}"
        pooled = f"{bouncer.dsn(database)}&listen_dsn={quote(server.dsn(database), safe='')}"
        disturber = Disturber(project, every, seed)
        async with disturber.on():
            storages = [server.dsn(database), by_rest, pooled, by_rest]
            report = await torture(
                storages, tasks=tasks, workers=workers, kills=kills, seed=seed, lease=5.0, progress=_progress
            )
        gateway = project.gateway
        done = (
            f"{disturber.restarts} restarts of Postgres, {disturber.terminated} connections terminated,"
            f" {gateway.dropped} of {gateway.seen} answers lost by the gateway"
        )
    return report, done


def _progress(ended: int, tasks: int, kills: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{ended:,} of {tasks:,} tasks have ended, {kills:,} kills ")


def main() -> None:
    """Run one, and say what was found; exit code 1 where something was."""
    parser = argparse.ArgumentParser(prog="parts.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two disturbances, at most")
    parser.add_argument("--lost", type=float, default=0.05, help="share of the gateway's answers that are lost")
    parser.add_argument("--postgres", type=int, default=18, choices=(15, 18))
    options = vars(parser.parse_args())
    with Postgres.running(options.pop("postgres"), durable=True) as server, Bouncer.running(server) as bouncer:
        report, done = asyncio.run(soak(server, bouncer, **options))
    print(report)
    print(done)
    sys.exit(not report.ok)


if __name__ == "__main__":
    main()
