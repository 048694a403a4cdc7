"""What the functions in the database promise beyond the laws: how much is written, how much is answered, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from parts.pgbouncer import Bouncer
from parts.postgres import Postgres
from parts.stores import Stores

from sequential_adaptor.backends.supabase import SchemaMissing, SupabaseAdapter
from sequential_adaptor.backends.supabase.commits import Commit
from sequential_adaptor.backends.supabase.postgres import PostgresDoor
from sequential_adaptor.errors import Conflict, InvalidValue, StorageClosed
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, field_names
from sequential_adaptor.storage import Claim, Create, Update, Wake


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


async def test_a_commit_whose_caller_is_cancelled_is_written(adapter: SupabaseAdapter) -> None:
    """Whether it is sent by the caller itself, as the second of those that come one by one is, or with others."""
    for n in range(1, 6):
        await adapter.commit([Create(call(10 * n))], id=new_id())
        asked = [asyncio.create_task(adapter.commit([Create(call(10 * n + i))], id=new_id())) for i in range(n)]
        await asyncio.sleep(0.001 * (n - 1))
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
    wanted = {f"run-1.{10 * n + i}" for n in range(2, 6) for i in range(n)}
    while not wanted <= {row.id for row in await adapter.query_stack_runs()}:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("made_up", [{"worker": "a\0"}, {"worker": 1}, {"token": "1"}, {"token": 2**63}])
async def test_a_claim_that_nobody_gave_refuses_no_neighbour(adapter: SupabaseAdapter, made_up: dict[str, Any]) -> None:
    """Its own commit is refused before it is sent."""
    claim = replace(Claim(StackRun(id="run-1", task_run_id="run-1"), "w", 1, datetime.now(UTC)), **made_up)
    commits = [
        adapter.commit([Create(call(1))], id=new_id()),
        adapter.commit([Create(call(2))], claims=[claim], id=new_id()),
        adapter.commit([Create(call(3))], id=new_id()),
    ]
    told = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(one) for one in told] == [type(None), InvalidValue, type(None)]


async def test_what_was_asked_for_is_written_before_closing(dsn: str) -> None:
    """One commit that its caller sends, or several in a group."""
    for count in (1, 3):
        async with SupabaseAdapter(dsn) as adapter:
            for n in range(2):
                await adapter.commit([Create(call(100 * count + n))], id=new_id())
            asked = [
                asyncio.create_task(adapter.commit([Create(call(100 * count + 10 + n))], id=new_id()))
                for n in range(count)
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*asked)


async def test_commits_read_no_table_from_end_to_end(dsn: str, connection: Any) -> None:
    """They find their rows by the primary keys, also by plans that were made when there was nothing in the tables."""
    async with SupabaseAdapter(dsn) as adapter:
        held = StackRun(
            id="run-1", task_run_id="run-1", worker="w", token=1, lease_expires_at=datetime(2190, 1, 1, tzinfo=UTC)
        )
        claims = [Claim(held, "w", 1, datetime(2190, 1, 1, tzinfo=UTC))]
        await adapter.commit([Create(TaskRun(id="run-1", task_identifier="t")), Create(held)], id=new_id())
        await steps(adapter, claims, 0)
        await connection.execute(
            """insert into public.sequential_stack_runs
            (id, task_run_id, operation, status, attempts, wakes, token, progress_token, created_at)
            select 'other.' || n, 'other', 'fetch', 'completed', 0, 0, 0, 0, now() from generate_series(1, 20000) n;
            insert into public.sequential_task_runs (id, task_identifier, version, runner, status, created_at)
            select 'other-' || n, 't', '', 'fetch', 'completed', now() from generate_series(1, 20000) n"""
        )
        await steps(adapter, claims, 100)
    # Opening looks for work, in tables that are empty then.
    assert await scans_when_there_are(connection, updates=20 * 3) <= 1


async def test_what_workers_ask_reads_no_table_from_end_to_end(dsn: str, connection: Any) -> None:
    """Claims, heartbeats and histories among 100,000 calls."""
    await connection.execute(
        """insert into public.sequential_stack_runs
        (id, task_run_id, parent_stack_run_id, operation, status, attempts, wakes, token, progress_token, created_at)
        select run || '.' || n, run, run, 'fetch', 'completed', 0, 0, 0, 0, now()
        from generate_series(1, 1000) n, (select 'other-' || m as run from generate_series(1, 100) m)"""
    )
    await connection.execute("vacuum analyze public.sequential_stack_runs")
    async with SupabaseAdapter(dsn) as adapter:
        await adapter.commit([Create(StackRun(id="run-1", task_run_id="run-1"))], id=new_id())
        for _ in range(8):  # plans are kept from the sixth time on
            claims = await adapter.claim_stack_runs("worker-1", limit=1, ids=["run-1"])
            await adapter.heartbeat(claims)
            assert len(await adapter.query_stack_runs({"parent_stack_run_id": "other-7"})) == 1000
            await adapter.commit([Update(StackRun, "run-1", {"lease_expires_at": None})], claims=claims, id=new_id())
    assert await scans_when_there_are(connection, updates=8 * 2) == 0


async def steps(adapter: SupabaseAdapter, claims: list[Claim], start: int) -> None:
    """Ten steps of all the kinds of changes that plain commits have."""
    await adapter.commit([Create(call(start))], id=new_id())
    for n in range(start, start + 10):
        changes = [
            Update(StackRun, f"run-1.{n}", {"status": "completed", "result": n, "position": n}),
            Update(StackRun, "run-1", {"state": n}),
            Update(TaskRun, "run-1", {"status": "running"}),
            Create(call(n + 1)),
            Create(TaskRun(id=f"more-{n}", task_identifier="t")),
        ]
        await adapter.commit(changes, claims=claims, id=new_id())


async def scans_when_there_are(connection: Any, *, updates: int) -> int:
    """How often one of the tables of runs was read whole, once as many updates are known: a session tells at its
    end."""
    known, scans = 0, 0
    while known < updates:
        await asyncio.sleep(0.05)
        await connection.execute("select pg_stat_clear_snapshot()")
        known, scans = await connection.fetchrow(
            "select sum(n_tup_upd), sum(seq_scan) from pg_stat_user_tables where relname like 'sequential%_runs'"
        )
    return int(scans)


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


async def test_what_is_made_while_a_run_is_deleted_is_deleted_too(adapter: SupabaseAdapter, connection: Any) -> None:
    """A holder commits a call while the run is deleted: no call is left over that nobody could ever end."""
    run, frame = TaskRun(id="run-1", task_identifier="t"), StackRun(task_run_id="run-1")
    await adapter.commit([Create(run), Create(frame)], id="1")
    claims = await adapter.claim_stack_runs("w")
    pending = Commit([Create(call(0, status="pending"))], claims, "2")
    async with connection.transaction():
        await connection.execute("select public.sequential_commit('', $1, '{}', false)", f"[{pending.text}]")
        deleting = asyncio.create_task(adapter.delete_task_run("run-1"))
        assert await asyncio.wait((deleting,), timeout=0.5) == (set(), {deleting})
    assert await deleting is True
    assert await adapter.query_stack_runs({"task_run_id": "run-1"}) == []
    assert await adapter.claim_stack_runs("w", limit=9) == []


async def test_a_run_that_is_made_while_it_is_deleted_is_deleted_whole(
    adapter: SupabaseAdapter, connection: Any
) -> None:
    """It is made anew at the very moment in which it is deleted: no frame is left over without its run."""
    await adapter.create_stack_run(call(0))
    made = Commit([Create(TaskRun(id="run-1", task_identifier="t")), Create(StackRun(task_run_id="run-1"))], [], "2")
    async with connection.transaction():
        await connection.execute("select from public.sequential_stack_runs for update")
        await connection.execute("select public.sequential_commit('', $1, '{}', false)", f"[{made.text}]")
        deleting = asyncio.create_task(adapter.delete_task_run("run-1"))
        assert await asyncio.wait((deleting,), timeout=0.5) == (set(), {deleting})
    assert await deleting is True
    assert await adapter.query_stack_runs({"task_run_id": "run-1"}) == []


@pytest.mark.parametrize(
    ("function", "named"), [("sequential_delete_task_run", "id"), ("sequential_delete_keystore", "key")]
)
async def test_a_deletion_that_comes_again_while_it_is_done_says_what_it_says(
    adapter: SupabaseAdapter, connection: Any, function: str, named: str
) -> None:
    """It was sent again because it took too long: there was something to delete, and that is the answer."""
    await adapter.create_task_run({"id": "it", "task_identifier": "t"})
    await adapter.set_keystore("it", 1)
    async with connection.transaction():
        assert await connection.fetchval(f"select deleted from public.{function}('it', 'request')") is True
        again = asyncio.create_task(adapter._door.call(function, {named: "it", "request": "request"}))
        assert await asyncio.wait((again,), timeout=0.5) == (set(), {again})
    [row] = await again
    assert row["deleted"] is True


async def test_an_expected_lease_is_the_one_of_that_moment(adapter: SupabaseAdapter, connection: Any) -> None:
    """Who changes a frame as long as nobody holds it is refused where it is claimed at this very moment."""
    frame = await adapter.create_stack_run(StackRun(id="run-1", task_run_id="run-1"))
    unheld = Update(StackRun, frame.id, {"state": 1}, expect={"lease_expires_at": None})
    async with connection.transaction():
        assert await connection.fetch("select id from public.sequential_claim('w', 60, 1, 'request')")
        changing = asyncio.create_task(adapter.commit([unheld], id=new_id()))
        assert await asyncio.wait((changing,), timeout=0.5) == (set(), {changing})
    with pytest.raises(Conflict):
        await changing


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


async def test_what_is_not_answered_in_time_is_sent_again(dsn: str, connection: Any) -> None:
    """Also where the first answer was waited for as long as all repetitions may take."""
    door = PostgresDoor(dsn, timeout=1.0, patience=1.0)
    await door.open()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("lock table public.sequential_keystore in access exclusive mode")
    asked = asyncio.create_task(door.call("sequential_get_keystore", {"key": "mine"}))
    await asyncio.sleep(1.4)
    assert not asked.done()
    await transaction.rollback()
    assert list(await asked) == []
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
