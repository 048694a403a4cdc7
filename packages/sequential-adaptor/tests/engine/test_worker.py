"""Workers stop cleanly, take over from the dead, give up what kills them, and leave to others what is not theirs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import (
    ConfigurationError,
    Engine,
    FolderAdapter,
    ServiceClient,
    StackProcessor,
    TaskFailed,
    Worker,
)
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.holder import Manner
from sequential_adaptor.engine.working import dispatching
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Turn
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.storage import Wake

NAPS = "async def main(n):\n    return [await call_host_tool('naps', 'take', [i]) for i in range(n)]"


class Naps:
    """Calls that take as long as they are told to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = 0

    async def take(self, number: int) -> int:
        self.begun += 1
        await asyncio.sleep(self.seconds)
        return number


def storage(path: Path) -> str:
    return f"folder:{path}?durability=process"


async def worker_process(path: Path, *, concurrency: int = 32, until_idle: bool = False) -> asyncio.subprocess.Process:
    worker = f"Worker({storage(path)!r}, concurrency={concurrency}).run({until_idle})"
    code = f"import asyncio\nfrom sequential_adaptor import Worker\nasyncio.run({worker})"
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code)


async def test_a_worker_that_is_stopped_ends_the_call_that_is_on_its_way_and_gives_back_the_rest(
    tmp_path: Path,
) -> None:
    async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
        naps = Naps(0.2)
        services.register_service("naps", naps)
        await engine.publish("naps", NAPS)
        handle = await engine.submit("naps", 50)
        worker = Worker(engine.adapter, services=services)
        working = asyncio.create_task(worker.run())
        while naps.begun < 2:
            await asyncio.sleep(0.01)
        worker.stop()
        await asyncio.wait_for(working, 5)
        done = [call for call in await handle.calls() if call.status == "completed"]
        assert len(done) == naps.begun
        [claim] = await engine.adapter.claim_stack_runs("the next")  # at once: nobody's lease is waited for
        assert claim.stack_run.id == handle.id


async def test_sigterm_ends_a_worker_cleanly_and_the_next_goes_on_at_once(tmp_path: Path) -> None:
    code = (
        "import asyncio\nasync def main():\n"
        "    for n in range(4):\n        print(n)\n        await asyncio.sleep(0.2)\n    return 'done'"
    )
    async with Engine(storage(tmp_path)) as engine:
        await engine.publish("counts", code)
        handle = await engine.submit("counts")
        child = await worker_process(tmp_path)
        while (await handle.record()).status == "pending":
            await asyncio.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 15) == 0
        began = time.monotonic()
        await asyncio.wait_for(engine.work(until_idle=True), 20)
        assert time.monotonic() - began < 15  # and not the 30 seconds of a lease
        assert await handle.result() == "done"
        logs = [(await engine.adapter.get_stack_run(handle.id)).log or []]  # type: ignore[union-attr]  # it is there
        logs += [call.log or [] for call in await handle.calls()]
        assert sorted(line for log in logs for line in log) == ["0", "1", "2", "3"]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[FetchSession]:
    """Every session that was started."""
    started: list[FetchSession] = []
    start = FetchSession.start

    async def noted(self: FetchSession, *args: Any) -> Turn:
        started.append(self)
        return await start(self, *args)

    monkeypatch.setattr(FetchSession, "start", noted)
    return started


def left_behind(sessions: list[FetchSession]) -> list[object]:
    """What should have ended with the worker: tasks that are in memory, and jobs."""
    jobs = [task for task in asyncio.all_tasks() if task.get_name().startswith("sequential ")]
    return [*jobs, *(session for session in sessions if session._frame is not None)]


async def _with_one_at_work_and_one_that_waits(engine: Engine, services: ServiceClient) -> asyncio.Task[None]:
    """A worker at work: one task's call is on its way, the other task is kept because it only waits."""
    naps = Naps(60)
    services.register_service("naps", naps)
    await engine.publish("naps", NAPS)
    await engine.publish("waits", "async def main():\n    return await wait_for_event('go')")
    waiting = await engine.submit("waits")
    working = asyncio.create_task(Worker(engine.adapter, services=services).run())
    while (await waiting.record()).status != "suspended":
        await asyncio.sleep(0.01)
    await engine.submit("naps", 1)
    while not naps.begun:
        await asyncio.sleep(0.01)
    return working


async def test_a_worker_that_is_cancelled_while_it_stops_leaves_nothing_in_memory(
    tmp_path: Path, sessions: list[FetchSession]
) -> None:
    async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
        working = await _with_one_at_work_and_one_that_waits(engine, services)
        for _ in range(2):
            working.cancel()
            await asyncio.sleep(0.05)
        await asyncio.wait([working])
        assert working.cancelled()
        assert len(sessions) == 2
        assert left_behind(sessions) == []


@pytest.mark.parametrize("turns", range(6))
def test_a_worker_that_nobody_awaits_leaves_nothing_in_memory(
    turns: int, tmp_path: Path, sessions: list[FetchSession]
) -> None:
    """When its loop ends it is cancelled once more, with all that it has begun, wherever it is in its stopping."""

    async def main() -> None:
        async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
            working = await _with_one_at_work_and_one_that_waits(engine, services)
            working.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)

    asyncio.run(main())
    assert [session for session in sessions if session._frame is not None] == []


async def test_a_worker_does_not_wait_for_a_task_that_blocks_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "_GRACE_WHEN_CANCELLED", 0.1)
    monkeypatch.setattr(dispatching, "_PATIENCE_WITH_TASKS", 0.1)
    begun, freed = tmp_path / "begun", tmp_path / "freed"
    code = (
        "from pathlib import Path\nfrom time import sleep\nasync def main(input):\n"
        "    Path(input[0]).touch()\n    while not Path(input[1]).exists():\n        sleep(0.01)"
    )
    async with Engine(storage(tmp_path / "store")) as engine:
        await engine.publish("blocks", code)
        await engine.submit("blocks", [str(begun), str(freed)])
        working = asyncio.create_task(Worker(engine.adapter).run())
        while not begun.exists():
            await asyncio.sleep(0.01)
        working.cancel()
        _, late = await asyncio.wait([working], timeout=30)
        freed.touch()
        assert not late


async def test_processing_that_is_cancelled_gives_back_what_it_has_claimed(
    tmp_path: Path, sessions: list[FetchSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "_GRACE_WHEN_CANCELLED", 0.1)
    async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
        naps = Naps(60)
        services.register_service("naps", naps)
        await engine.publish("naps", NAPS)
        run = await engine.submit("naps", 1)
        processor = StackProcessor(engine.adapter, services)
        assert await processor.process_pending() == 1
        processing = asyncio.create_task(processor.process_pending())
        while not naps.begun:
            await asyncio.sleep(0.01)
        processing.cancel()
        await asyncio.wait([processing])
        assert processing.cancelled()
        assert len(sessions) == 1
        assert left_behind(sessions) == []
        [claim] = await engine.adapter.claim_stack_runs("the next")
        assert claim.stack_run.id == f"{run.id}.1"


async def test_a_task_that_only_waits_for_others_is_given_back_at_once_by_who_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is held its workers may be killed, again and again, and it must not be given up for that."""
    monkeypatch.setattr(dispatching, "Manner", lambda: Manner(linger=600.0))
    async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
        services.register_service("naps", Naps(60))
        await engine.publish("naps", NAPS)
        run = await engine.submit("naps", 1)
        await StackProcessor(engine.adapter, services).process_pending()
        [claim] = await engine.adapter.claim_stack_runs("another", lease=600.0)
        assert claim.stack_run.id == f"{run.id}.1"
        await engine.adapter.commit([Wake(run.id)], id=new_id())
        working = asyncio.create_task(Worker(engine.adapter, services=services).run())
        async with asyncio.timeout(20):
            while (frame := await _frame(engine, run.id)).token < 2 or frame.worker is not None:
                await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.wait([working])
        assert frame.progress_token == frame.token


async def _frame(engine: Engine, id: str) -> StackRun:
    frame = await engine.adapter.get_stack_run(id)
    assert frame is not None
    return frame


async def test_a_worker_waits_for_the_lease_of_a_dead_one_and_then_goes_on(tmp_path: Path) -> None:
    async with Engine(storage(tmp_path)) as engine:
        await engine.publish("quick", "async def main():\n    return 1")
        handle = await engine.submit("quick")
        await engine.adapter.claim_stack_runs("dead", lease=0.5)
        await asyncio.wait_for(engine.work(until_idle=True), 10)
        assert await handle.result() == 1


async def test_a_frame_that_kills_its_workers_is_given_up_and_says_so(tmp_path: Path) -> None:
    async with Engine(storage(tmp_path)) as engine:
        await engine.publish("killer", "async def main():\n    return 1")
        handle = await engine.submit("killer")
        for _ in range(rules.CLAIMS_WITHOUT_PROGRESS):
            await engine.adapter.update_stack_run(handle.id, worker=None, lease_expires_at=None)
            assert await engine.adapter.claim_stack_runs("victim", lease=60)
        await engine.adapter.update_stack_run(handle.id, worker=None, lease_expires_at=None)
        await engine.work(until_idle=True)
        with pytest.raises(TaskFailed, match="claimed 26 times in a row") as raised:
            await handle.result()
        assert raised.value.error["dead"] is True


async def test_a_killed_worker_uses_up_no_attempt(tmp_path: Path) -> None:
    async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
        services.register_service("naps", Naps(0.0), attempts=1)
        await engine.publish("naps", NAPS)
        handle = await engine.submit("naps", 1)
        for _ in range(3):
            await engine.adapter.claim_stack_runs("dead", lease=60)
            await engine.adapter.update_stack_run(handle.id, worker=None, lease_expires_at=None)
        await engine.work(until_idle=True)
        assert await handle.result() == [0]


async def test_a_run_whose_runner_is_not_installed_is_left_to_others(tmp_path: Path, caplog: Any) -> None:
    async with Engine(storage(tmp_path)) as engine:
        await engine.publish("odd", "code", runner="nowhere")
        handle = await engine.submit("odd")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.work(until_idle=True), 1)
        assert (await handle.record()).status == "pending"
        assert "no runner 'nowhere'" in caplog.text


async def test_a_run_whose_function_is_not_stored_fails(tmp_path: Path) -> None:
    async with Engine(storage(tmp_path)) as engine:
        await engine.adapter.create_task_run({"id": "run", "task_identifier": "gone", "version": "0" * 64})
        await engine.adapter.create_stack_run({"task_run_id": "run"})
        await engine.work(until_idle=True)
        with pytest.raises(TaskFailed, match="TaskFunctionNotFound"):
            await engine.handle("run").result()


async def test_a_call_that_outlasts_its_lease_is_sent_once(tmp_path: Path) -> None:
    async with ServiceClient() as services, Engine(storage(tmp_path), services=services) as engine:
        naps = Naps(1.2)
        services.register_service("naps", naps)
        await engine.publish("naps", NAPS)
        handle = await engine.submit("naps", 1)
        workers = [Worker(engine.adapter, lease=0.4, services=services) for _ in range(2)]
        await asyncio.gather(*(worker.run(until_idle=True) for worker in workers))
        assert (await handle.result(), naps.begun) == ([0], 1)


async def test_a_call_whose_frame_is_gone_is_performed_once(tmp_path: Path) -> None:
    """Somebody has removed its run by hand: it ends, is not performed at each end of its lease, and all is idle."""
    async with ServiceClient() as services, FolderAdapter(tmp_path, durability="process") as store:
        naps = Naps(0)
        services.register_service("naps", naps)
        call = {"id": "gone.1", "task_run_id": "gone", "parent_stack_run_id": "gone", "sequence": 1, "input": [7]}
        await store.create_stack_run({**call, "operation": "naps.take"})
        await asyncio.wait_for(Worker(store, lease=0.3, services=services).run(until_idle=True), 10)
        ended = await store.get_stack_run("gone.1")
        assert ended is not None
        assert (naps.begun, ended.status, ended.due_at) == (1, "completed", None)


async def test_a_frame_whose_run_is_gone_is_taken_up_once(tmp_path: Path) -> None:
    """Somebody has removed its run by hand: it ends, and leaves an idle store."""
    async with FolderAdapter(tmp_path, durability="process") as store:
        await store.create_stack_run({"id": "gone", "task_run_id": "gone"})
        await asyncio.wait_for(Worker(store, lease=0.3).run(until_idle=True), 10)
        ended = await store.get_stack_run("gone")
        assert ended is not None
        assert (ended.status, ended.token, ended.due_at) == ("cancelled", 1, None)


class Forgetful(FolderAdapter):
    """A store whose first heartbeat finds the lease over: the worker was away for too long."""

    forgot = False

    async def heartbeat(self, claims: Any, **options: Any) -> Any:
        if not self.forgot:
            self.forgot = True
            for claim in claims:
                await self.update_stack_run(claim.stack_run.id, worker=None, lease_expires_at=None)
        return await super().heartbeat(claims, **options)


async def test_a_frame_that_is_claimed_anew_by_the_same_worker_is_kept_alive(tmp_path: Path) -> None:
    naps = Naps(1.5)
    async with Forgetful(tmp_path, durability="process") as store, ServiceClient() as services:
        services.register_service("naps", naps)
        async with Engine(store, services=services) as engine:
            await engine.publish("naps", NAPS)
            handle = await engine.submit("naps", 1)
            await asyncio.wait_for(Worker(store, lease=0.6, services=services).run(until_idle=True), 20)
            frame = await store.get_stack_run(handle.id)
            assert frame is not None
            assert (await handle.result(), naps.begun, frame.token) == ([0], 2, 2)


async def test_an_idle_worker_starts_a_task_soon(tmp_path: Path) -> None:
    async with FolderAdapter(tmp_path, durability="process") as store, Engine(store) as engine:
        await engine.publish("quick", "async def main():\n    return 1")
        worker = Worker(store)
        working = asyncio.create_task(worker.run())
        await asyncio.sleep(0.3)
        assert worker.moved == 0
        handle = await engine.submit("quick")
        assert await handle.result(timeout=10) == 1
        worker.stop()
        await asyncio.wait_for(working, 5)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"concurrency": "4"}, {"lease": 0}, {"lease": 1e9}])
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Worker("folder:x", **options)


async def test_two_workers_in_two_processes_share_a_store(tmp_path: Path) -> None:
    async with Engine(storage(tmp_path)) as engine:
        await engine.publish("pid", "import os\nasync def main():\n    return await step(os.getpid)")
        handles = [await engine.submit("pid") for _ in range(60)]
        children = [await worker_process(tmp_path, concurrency=2, until_idle=True) for _ in range(2)]
        for child in children:
            assert await asyncio.wait_for(child.wait(), 60) == 0
        assert {await handle.result(1) for handle in handles} <= {child.pid for child in children}
        assert os.getpid() not in {await handle.result(1) for handle in handles}


async def test_a_claim_that_comes_when_the_run_has_ended_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer was so late that the lease was over, and somebody else has ended the run: that is no error."""
    caplog.set_level("INFO")
    async with Engine(storage(tmp_path)) as engine:
        await engine.publish("echo", "async def main(n):\n    return n")
        handle = await engine.submit("echo", 1)
        get_task_run = FolderAdapter.get_task_run

        async def ended_meanwhile(adapter: FolderAdapter, id: str) -> Any:
            monkeypatch.undo()
            await handle.cancel(force=True)
            return await get_task_run(adapter, id)

        monkeypatch.setattr(FolderAdapter, "get_task_run", ended_meanwhile)
        await Worker(engine.adapter).run(until_idle=True)
        assert (await handle.record()).status == "cancelled"
    said = [record.getMessage() for record in caplog.records]
    assert any("the claim was lost" in line for line in said)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")], said


HOLDS = """
import asyncio
async def main(count):
    nap = asyncio.ensure_future(call_host_tool("naps", "take", [0]))
    found = [await wait_for_event("go") for _ in range(count)]
    nap.cancel()
    return found
"""


async def test_events_of_other_processes_reach_a_task_that_is_held_soon_however_quickly_they_follow_each_other(
    tmp_path: Path,
) -> None:
    """The holder looks at what has arrived when the store has news, and need not wait for its next heartbeat."""
    async with (
        ServiceClient() as services,
        Engine(storage(tmp_path), services=services) as engine,
        Engine(storage(tmp_path)) as other,
    ):
        naps = Naps(60)
        services.register_service("naps", naps)
        await engine.publish("holds", HOLDS)
        handle = await engine.submit("holds", 6)
        worker = Worker(engine.adapter, services=services)  # whose heartbeats are 10 seconds apart
        working = asyncio.create_task(worker.run())
        while not naps.begun:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        for number in range(6):
            await other.handle(handle.id).send("go", number)
            await asyncio.sleep(0.03)
        assert await handle.result(timeout=30) == list(range(6))
        assert time.monotonic() - began < 8
        worker.stop()
        await asyncio.wait_for(working, 15)
