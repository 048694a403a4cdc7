"""Workflows on Postgres: this library beside Absurd and DBOS, and beside the raw commit rate, on one server in one run.

    pip install absurd-sdk absurdctl dbos psutil
    python benchmarks/steps.py [ENGINE ...]

The server is started here, with its defaults but for the place of its files, and syncs to disk. A step is a function
that gives back its argument. Each engine runs in a process of its own on a database of its own, and each phase begins
with the raw rate: rows of 400 bytes inserted in turn by asyncpg. Transactions are those of ``pg_stat_database``,
flushes the WAL syncs of client processes in ``pg_stat_io``; CPU is that of the engine's process and of the server.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil

if TYPE_CHECKING:
    from parts.postgres import Postgres

ENGINES = {"ours": "peers.ours", "absurd": "peers.absurd", "dbos": "peers.dbos_"}
STEPS, ROW, RUNS, BESIDE, LONG, PICKS = 10, 100, 512, 32, 1_000, 12
STATISTICS_APART = 2.0
"""Seconds after which sessions that have ended have told what they did."""


async def raw(dsn: str, commits: int = 300) -> float:
    """Seconds for one row in one transaction."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "create table if not exists raw_rows (id bigint generated always as identity primary key, t text)"
    )
    begin = time.perf_counter()
    for _ in range(commits):
        await connection.execute("insert into raw_rows (t) values ($1)", "x" * 400)
    spent = time.perf_counter() - begin
    await connection.close()
    return spent / commits


def statistics_of(server: Postgres, database: str) -> dict[str, float]:
    text = server.sql(
        "select json_build_object('transactions', (select xact_commit + xact_rollback from pg_stat_database where"
        f" datname = '{database}'), 'flushes', (select sum(fsyncs) from pg_stat_io where object = 'wal' and"
        " backend_type = 'client backend'), 'wal bytes', (select wal_bytes from pg_stat_wal))"
    )
    return {**json.loads(text), "server cpu": server_cpu(server)}


def server_cpu(server: Postgres) -> float:
    """Seconds of the server and of all its processes, also of those that have ended."""
    top = psutil.Process(int((server.place / "data" / "postmaster.pid").read_text().split()[0]))
    own = top.cpu_times()
    living = sum(sum(child.cpu_times()[:2]) for child in top.children())
    return living + sum(own[:4])


def phase(engine: str, dsn: str, name: str, *arguments: int) -> dict[str, Any]:
    """What a phase gives, from a process of its own."""
    command = [sys.executable, __file__, "--phase", engine, dsn, name, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def in_phase(engine: str, dsn: str, name: str, arguments: list[int]) -> None:
    found = await getattr(importlib.import_module(ENGINES[engine]), name)(dsn, *arguments)
    cpu = time.process_time()
    print(json.dumps({"found": found, "cpu": cpu}))


def measured(server: Postgres, engine: str, database: str, name: str, *arguments: int) -> float:
    """A phase of steps: its figures, for each step; its seconds a step."""
    dsn, units = server.dsn(database), arguments[0] * arguments[1]
    idle = phase(engine, dsn, name, 0, 0, *arguments[2:])["cpu"]
    at_rest = asyncio.run(raw(dsn))
    time.sleep(STATISTICS_APART)
    before = statistics_of(server, database)
    found = phase(engine, dsn, name, *arguments)
    time.sleep(STATISTICS_APART)
    after = statistics_of(server, database)
    rate = statistics.mean((at_rest, asyncio.run(raw(dsn))))
    step = found["found"] / units
    each = {key: (after[key] - before[key]) / units for key in before}
    print(
        f"{engine:7} {name.replace('_', ' '):13} {step * 1e3:7.2f} ms a step, {rate / step:5.2f} of the raw rate"
        f" ({rate * 1e3:.2f} ms a commit); {each['transactions']:.2f} transactions, {each['flushes']:.2f} flushes,"
        f" {each['wal bytes']:.0f} bytes of WAL; cpu {(found['cpu'] - idle) / units * 1e3:.2f} ms client,"
        f" {each['server cpu'] * 1e3:.2f} ms server",
        flush=True,
    )
    return step


def pick_ups(engine: str, dsn: str) -> list[float]:
    """Seconds from submitting to the first step, in an idle worker of another process."""
    worker = subprocess.Popen(
        [sys.executable, __file__, "--phase", engine, dsn, "work"], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    worker.stdout.readline()
    try:
        found: list[float] = phase(engine, dsn, "pick_up", PICKS)["found"]
        return found[1:]
    finally:
        worker.kill()
        worker.communicate()


def compare(server: Postgres, engine: str) -> float:
    """All its figures; its seconds a step side by side."""
    database = server.new_database()
    dsn = server.dsn(database)
    phase(engine, dsn, "prepare")
    measured(server, engine, database, "in_a_row", ROW, STEPS)
    beside = measured(server, engine, database, "side_by_side", RUNS, STEPS, BESIDE)
    resumed = [phase(engine, dsn, "resume", LONG)["found"] for _ in range(3)]
    print(f"{engine:7} cold resume of {LONG:,} steps: {statistics.median(resumed) * 1e3:.0f} ms", flush=True)
    delays = pick_ups(engine, dsn)
    usual = statistics.median(delays)
    print(f"{engine:7} idle pick-up: {usual * 1e3:.1f} ms (up to {max(delays) * 1e3:.0f})", flush=True)
    return beside


def main(engines: list[str]) -> None:
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from parts.postgres import Postgres

    with Postgres.running(18, durable=True) as server:
        print(server.sql("select version()"))
        beside = {engine: compare(server, engine) for engine in engines or ENGINES}
        for engine, step in beside.items():
            if engine != "ours" and "ours" in beside:
                print(f"side by side ours does {step / beside['ours']:.1f} times the steps of {engine}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--phase"]:
        _, engine, dsn, name, *rest = sys.argv[1:]
        asyncio.run(in_phase(engine, dsn, name, [int(text) for text in rest]))
    else:
        main(sys.argv[1:])
