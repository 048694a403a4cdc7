"""The adapter by REST when answers are lost: what was done is known to be done, and nothing is leased to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from parts.project import Project
from parts.stores import Stores

from sequential_adaptor.backends.supabase import SupabaseAdapter
from sequential_adaptor.errors import ClaimLost, Conflict, RecordExists
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Create, Update, Wake
from sequential_adaptor.testing import Storage
from sequential_adaptor.testing.laws.state_machine import StateMachineLaws


@pytest.fixture
def project(stores18: Stores) -> Project:
    """A project with our schema."""
    return stores18.project()


@pytest_asyncio.fixture
async def adapter(project: Project) -> AsyncIterator[SupabaseAdapter]:
    """An adapter by REST."""
    async with SupabaseAdapter(url=project.url, service_key=project.secret_key) as opened:
        yield opened


@pytest.fixture
def losing(project: Project) -> Callable[[str, int], None]:
    """Has the next so many answers of a function lost."""

    def lose(function: str, times: int) -> None:
        before = project.gateway.dropped
        wanted = f"/rpc/{function}".encode()
        project.gateway.drop = lambda target: target.endswith(wanted) and project.gateway.dropped - before < times

    return lose


async def make_due(project: Project, count: int) -> None:
    """Store so many calls that are due."""
    project.server.sql(
        f"""insert into sequential_stack_runs
        (id, task_run_id, operation, status, attempts, wakes, token, progress_token, due_at, created_at)
        select 'run.' || n, 'run', 'fetch', 'pending', 0, 0, 0, 0, now(), now() from generate_series(1, {count}) n""",
        project.database,
    )


def leased(project: Project) -> int:
    """How many stack runs somebody holds."""
    held = "select count(*) from sequential_stack_runs where lease_expires_at > now()"
    return int(project.server.sql(held, project.database))


async def test_a_claim_whose_answer_was_lost_is_the_same_claim(
    adapter: SupabaseAdapter, project: Project, losing: Callable[[str, int], None]
) -> None:
    """The worker gets what it was given the first time: no stack run is leased to nobody, or claimed twice over."""
    await make_due(project, 50)
    losing("sequential_claim", 3)
    claims = await adapter.claim_stack_runs("w", limit=20)
    assert project.gateway.dropped == 3
    assert (len(claims), leased(project)) == (20, 20)
    assert {claim.token for claim in claims} == {1}
    assert len(await adapter.heartbeat(claims)) == 20


@pytest.mark.parametrize("lost", [0, 2])
async def test_a_claim_of_more_than_an_answer_holds_leases_nothing_to_nobody(
    adapter: SupabaseAdapter, project: Project, losing: Callable[[str, int], None], lost: int
) -> None:
    """PostgREST cuts answers at 1,000 rows: of 1,500 that are claimed, each is in the hands of who claimed it."""
    await make_due(project, 1700)
    losing("sequential_claim", lost)
    claims = await adapter.claim_stack_runs("w", limit=1500, lease=300)
    assert len({claim.stack_run.id for claim in claims}) == 1500
    assert leased(project) == 1500
    held = await adapter.heartbeat(claims, lease=300)
    assert len(held) == 1500
    assert len(await adapter.query_stack_runs({"task_run_id": "run"})) == 1700
    assert len(await adapter.get_pending_stack_runs()) == 200


async def test_side_by_side_every_claim_has_one_holder(adapter: SupabaseAdapter, project: Project) -> None:
    """Ten workers claim at once while a third of the answers is lost."""
    await make_due(project, 200)
    project.gateway.share = 0.3
    claimed = await asyncio.gather(*(adapter.claim_stack_runs(f"w{n}", limit=20) for n in range(10)))
    ids = [claim.stack_run.id for claims in claimed for claim in claims]
    project.gateway.share = 0.0
    rest = await adapter.claim_stack_runs("rest", limit=1000)
    assert sorted([*ids, *(claim.stack_run.id for claim in rest)]) == sorted(f"run.{n}" for n in range(1, 201))


async def test_a_commit_whose_answer_was_lost_is_written_once(
    adapter: SupabaseAdapter, project: Project, losing: Callable[[str, int], None]
) -> None:
    """The same id again is success, under the claim too; a wake counts once."""
    await adapter.create_stack_run({"id": "run", "task_run_id": "run"})
    [claim] = await adapter.claim_stack_runs("w")
    losing("sequential_commit", 2)
    call = StackRun(id="run.1", task_run_id="run", parent_stack_run_id="run", operation="fetch")
    await adapter.commit([Create(call), Wake("run"), Update(StackRun, "run", {"state": [1]})], claims=[claim], id="c1")
    assert project.gateway.dropped == 2
    frame = await adapter.get_stack_run("run")
    assert frame is not None
    assert (frame.wakes, frame.state, frame.last_commit) == (1, [1], "c1")


async def test_a_refusal_whose_answer_was_lost_is_the_same_refusal(
    adapter: SupabaseAdapter, project: Project, losing: Callable[[str, int], None]
) -> None:
    """What was refused was not written, so asking again is refused for the same reason, and neighbours are written."""
    await adapter.create_stack_run({"id": "run", "task_run_id": "run"})
    [claim] = await adapter.claim_stack_runs("w")
    stale = Update(StackRun, "run", {"wakes": 9}, expect={"wakes": 5})
    losing("sequential_commit", 3)
    done: list[Any] = await asyncio.gather(
        adapter.commit([stale], claims=[claim], id="c1"),
        adapter.commit([Update(StackRun, "run", {"state": "kept"})], claims=[claim], id="c2"),
        return_exceptions=True,
    )
    assert [type(one) for one in done] == [Conflict, type(None)]
    project.gateway.drop = lambda target: False
    frame = await adapter.get_stack_run("run")
    assert frame is not None
    assert (frame.wakes, frame.state) == (0, "kept")
    await adapter.update_stack_run("run", token=claim.token + 1)
    losing("sequential_commit", 2)
    with pytest.raises(ClaimLost):
        await adapter.commit([Wake("run")], claims=[claim], id="c3")


async def test_creating_is_repeated_safely(
    adapter: SupabaseAdapter, project: Project, losing: Callable[[str, int], None]
) -> None:
    """The record that the lost call has stored is the one that is returned; another one of that id is refused still."""
    losing("sequential_store_task_run", 2)
    created = await adapter.create_task_run({"id": "one", "task_identifier": "t", "input": {"a": [0, -0.0, None]}})
    assert created == await adapter.get_task_run("one")
    losing("sequential_store_task_run", 1)
    with pytest.raises(RecordExists):
        await adapter.create_task_run({"id": "one", "task_identifier": "another"})
    losing("sequential_store_stack_run", 2)
    frame = await adapter.create_stack_run({"task_run_id": "one"})
    assert await adapter.get_stack_run("one") == frame
    losing("sequential_store_task_function", 2)
    function = await adapter.store_task_function("t", "async def main(x): return x")
    assert await adapter.get_task_function("t") == function


async def test_updates_and_keys_are_repeated_safely(
    adapter: SupabaseAdapter, project: Project, losing: Callable[[str, int], None]
) -> None:
    """What is set twice is set, and what is deleted twice was there."""
    await adapter.create_task_run({"id": "one", "task_identifier": "t"})
    losing("sequential_update_task_run", 2)
    assert (await adapter.update_task_run("one", status="failed")).status == "failed"
    losing("sequential_set_keystore", 2)
    await adapter.set_keystore("k", {"b": 1, "a": 2})
    assert list((await adapter.get_keystore("k")).items()) == [("b", 1), ("a", 2)]
    losing("sequential_delete_keystore", 2)
    assert await adapter.delete_keystore("k") is True
    assert await adapter.get_keystore("k") is None
    losing("sequential_delete_keystore", 2)
    assert await adapter.delete_keystore("k") is False
    assert isinstance(await adapter.get_task_run("one"), TaskRun)
    losing("sequential_delete_task_run", 2)
    assert await adapter.delete_task_run("one") is True
    assert await adapter.delete_task_run("one") is False


@pytest.mark.slow
class TestAnyHistory(StateMachineLaws):
    """Whatever is done in whatever order, a tenth of the answers lost: it is as the model says."""

    histories: ClassVar[int] = 8

    @pytest.fixture
    def new_store(self, stores18: Stores) -> Callable[[], Storage]:
        """Each store is a project of its own, whose gateway loses a tenth of all answers."""

        def make() -> Storage:
            project = stores18.project()
            project.gateway.share = 0.1
            return Storage(SupabaseAdapter, url=project.url, service_key=project.secret_key)

        return make
