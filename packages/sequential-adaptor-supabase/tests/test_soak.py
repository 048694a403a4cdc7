"""A small soak: everything that the large one does (``nox -s soak_supabase``), and nothing found."""

from __future__ import annotations

import pytest
from parts.pgbouncer import Bouncer
from parts.postgres import Postgres
from parts.soak import soak


@pytest.mark.slow
async def test_workers_by_connection_and_by_rest_share_a_queue() -> None:
    """120 tasks, 15 workers killed, Postgres restarted and connections terminated every second or two, 5 % of the
    answers of REST lost: none lost, stuck, twice, wrong or too early."""
    with Postgres.running(18) as server, Bouncer.running(server) as bouncer:
        report, done = await soak(server, bouncer, tasks=120, kills=15, seed=7, every=2.0, lost=0.05, workers=4)
    assert report.ok, f"{report}\n{done}"
    assert report.kills >= 10
    assert report.repeated > 0
