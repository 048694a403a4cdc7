"""What the functions in the database promise beyond the laws: how much is written, how much is answered, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from parts.pgbouncer import Bouncer
from parts.postgres import Postgres
from parts.stores import Stores

from sequential_adaptor.backends.supabase import SchemaMissing, SupabaseAdapter
from sequential_adaptor.backends.supabase.postgres import PostgresDoor
from sequential_adaptor.errors import StorageClosed
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, field_names
from sequential_adaptor.storage import Create, Update, Wake


@pytest.fixture
def dsn(stores18: Stores) -> str:
    """A database with our schema."""
    return stores18.dsn()


@pytest_asyncio.fixture
async def adapter(dsn: str) -> AsyncIterator[SupabaseAdapter]:
    """An adapter straight to it."""
    async with SupabaseAdapter(dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    """A connection of somebody who looks at the tables."""
    opened = await asyncpg.connect(dsn)
    yield opened
    await opened.close()


@pytest.fixture
def calls(adapter: SupabaseAdapter, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that the adapter calls from now on."""
    made: list[str] = []
    call = adapter._door.call

    async def counted(function: str, arguments: Mapping[str, Any], **options: Any) -> Sequence[Mapping[str, Any]]:
        made.append(function)
        return await call(function, arguments, **options)

    monkeypatch.setattr(adapter._door, "call", counted)
    return made


def call(n: int, run: str = "run-1", **fields: Any) -> StackRun:
    """A call that its holder performs itself."""
    given = {"operation": "fetch", "status": "in_progress", "sequence": n, **fields}
    return StackRun(id=f"{run}.{n}", task_run_id=run, parent_stack_run_id=run, **given)


async def test_rows_have_the_fields_of_records(connection: Any) -> None:
    """In their order: columns are read by their place."""
    for kind, name in ((TaskRun, "task_run"), (StackRun, "stack_run"), (TaskFunction, "task_function")):
        statement = await connection.prepare(f"select * from public.sequential_{name}_rows")
        assert tuple(column.name for column in statement.get_attributes()) == field_names(kind)


async def test_a_step_touches_no_index_but_for_the_new_call(dsn: str, connection: Any) -> None:
    """The outcome of a call is a HOT update: no index holds what it changes."""
    async with SupabaseAdapter(dsn) as adapter:
        await adapter.commit([Create(call(0))], id=new_id())
        for n in range(60):
            outcome = {"status": "completed", "result": n, "position": n, "ended_at": await adapter.now()}
            await adapter.commit([Update(StackRun, f"run-1.{n}", outcome), Create(call(n + 1))], id=new_id())
    updated = 0
    while updated < 60:  # a session reports what it did when it has ended
        await asyncio.sleep(0.05)
        await connection.execute("select pg_stat_clear_snapshot()")
        updated, hot = await connection.fetchrow(
            "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'sequential_stack_runs'"
        )
    assert hot == updated == 60


async def test_a_heartbeat_writes_the_row_of_the_worker_and_no_other(adapter: SupabaseAdapter, connection: Any) -> None:
    """Whatever it holds; and what it extends is held, by the record and by the fencing."""
    await adapter.commit([Create(call(n, status="pending")) for n in range(40)], id=new_id())
    claims = await adapter.claim_stack_runs("worker-1", limit=40, lease=3)
    places = "select array_agg(ctid::text order by id) from public.sequential_stack_runs"
    before = await connection.fetchval(places)
    for _ in range(3):
        kept = await adapter.heartbeat(claims, lease=300)
    assert await connection.fetchval(places) == before
    assert await connection.fetchval("select count(*) from public.sequential_heartbeats") == 1
    await asyncio.sleep(3.1)  # the leases as they were claimed are over by now
    assert await adapter.claim_stack_runs("worker-2", limit=40) == []
    await adapter.commit([Update(StackRun, "run-1.1", {"result": 1})], claims=claims, id=new_id())
    found = await adapter.query_stack_runs({"lease_expires_at": kept[0].expires_at})
    assert len(found) == len(kept) == 40


async def test_commits_at_once_share_a_transaction(adapter: SupabaseAdapter, calls: list[str]) -> None:
    """Those that come while one is on its way go together."""
    await asyncio.gather(*(adapter.commit([Create(call(n))], id=new_id()) for n in range(65)))
    assert calls.count("sequential_commit") <= 3
    assert len(await adapter.query_stack_runs()) == 65


async def test_no_answer_has_more_than_a_thousand_rows(adapter: SupabaseAdapter, calls: list[str]) -> None:
    """A claim of 1,500 comes in two answers; nothing is leased that nobody hears of."""
    for start in range(0, 1_500, 500):
        await adapter.commit([Create(call(n, status="pending")) for n in range(start, start + 500)], id=new_id())
    assert len(await adapter.get_pending_stack_runs()) == 1_500
    claims = await adapter.claim_stack_runs("worker-1", limit=2_000)
    assert len({claim.stack_run.id for claim in claims}) == 1_500
    assert calls.count("sequential_claim") == 2
    assert len(await adapter.heartbeat(claims)) == 1_500


async def test_a_claim_that_comes_again_gets_what_it_got(adapter: SupabaseAdapter) -> None:
    """Its answer was lost: the same request is given the same, while there is more to be had."""
    await adapter.commit([Create(call(n, status="pending")) for n in range(9)], id=new_id())
    asked = {"worker": "worker-1", "lease": 60.0, "max_rows": 3, "request": "request-1", "ids": None}
    first = await adapter._door.call("sequential_claim", {**asked, "again": False})
    again = await adapter._door.call("sequential_claim", {**asked, "again": True})
    assert [dict(row) for row in again] == [dict(row) for row in first]
    assert len(first) == 3
    new = await adapter._door.call("sequential_claim", {**asked, "request": "request-2", "again": True})
    assert len(new) == 3
    assert {row["id"] for row in new}.isdisjoint(row["id"] for row in first)


async def test_wakes_across_one_another_do_not_stop(dsn: str) -> None:
    """Two workers, each of which holds what the other wakes, in one group: the locks are taken in one order."""
    async with SupabaseAdapter(dsn) as one, SupabaseAdapter(dsn) as two:
        frames = [StackRun(id=f"run-{n}", task_run_id=f"run-{n}") for n in range(20)]
        await one.commit([Create(frame) for frame in frames], id=new_id())
        ids = [frame.id for frame in frames]

        async def wake(adapter: SupabaseAdapter, order: list[str]) -> None:
            for _ in range(10):
                await asyncio.gather(*(adapter.commit([Wake(id)], id=new_id()) for id in order))

        await asyncio.wait_for(asyncio.gather(wake(one, ids), wake(two, ids[::-1])), 30)
        assert {frame.wakes for frame in await one.query_stack_runs()} == {20}


async def test_a_pooler_is_noticed(stores18: Stores, bouncer18: Bouncer) -> None:
    """By what it tells of the process; it can also be said."""
    database = stores18.database()
    direct = stores18.server.dsn(database)
    for dsn, pooled in (
        (direct, False),
        (bouncer18.dsn(database), True),
        (f"{direct}&pgbouncer=true", True),
        (f"{direct}&statement_cache_size=0", True),
    ):
        door = PostgresDoor(dsn)
        await door.open()
        assert door._connections.pooled is pooled
        await door.close()


async def test_a_missing_schema_is_one_clear_error(postgres18: Postgres) -> None:
    """It says what is missing, and the command."""
    name = postgres18.new_database()
    with pytest.raises(SchemaMissing, match="sequential migrate --storage") as caught:
        await SupabaseAdapter(postgres18.dsn(name)).init()
    assert name in str(caught.value)
    postgres18.drop_database(name)


async def test_an_older_schema_is_one_clear_error(dsn: str, connection: Any) -> None:
    """The migration that is missing is named."""
    await connection.execute("delete from public.sequential_schema where version like '%400'")
    with pytest.raises(SchemaMissing, match="sequential_rights"):
        await SupabaseAdapter(dsn).init()


async def test_terminated_connections_are_made_anew(adapter: SupabaseAdapter, stores18: Stores, dsn: str) -> None:
    """Whatever was on its way is done, once."""
    frame = StackRun(id="run-1", task_run_id="run-1")
    await adapter.commit([Create(frame)], id=new_id())
    database = dsn.split("@/")[1].split("?")[0]

    async def wake() -> None:
        for _ in range(30):
            await adapter.commit([Wake("run-1")], id=new_id())

    waking = asyncio.create_task(wake())
    for _ in range(5):
        await asyncio.sleep(0.05)
        await asyncio.to_thread(stores18.server.terminate_connections, database)
    await asyncio.wait_for(waking, 60)
    found = await adapter.get_stack_run("run-1")
    assert found is not None
    assert found.wakes == 30


async def test_what_is_wrong_is_said(adapter: SupabaseAdapter, connection: Any) -> None:
    """Rights that everybody got, row level security that somebody switched off; and nothing where nothing is wrong."""
    assert await adapter.diagnose(thorough=True) == []
    await connection.execute("grant select on public.sequential_keystore to anon")
    await connection.execute("alter table public.sequential_keystore disable row level security")
    off, readable = await adapter.diagnose()
    assert "alter table public.sequential_keystore enable row level security" in off
    assert "revoke all on public.sequential_keystore from anon" in readable


async def test_a_closed_adapter_says_so(dsn: str) -> None:
    """Also when it was never opened."""
    adapter = SupabaseAdapter(dsn)
    with pytest.raises(StorageClosed):
        await adapter.now()
    await adapter.init()
    await adapter.close()
    await adapter.close()
    with pytest.raises(StorageClosed):
        await adapter.commit([], id="c")
