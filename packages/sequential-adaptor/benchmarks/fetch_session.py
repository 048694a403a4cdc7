"""What the fetch runner costs: CPU for one step of a live session, and for one recorded call of a replay.

    python benchmarks/fetch_session.py [calls]

Process CPU time, so threads are included. The targets: at most 60 µs a live step, at most 25 µs a replayed call.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from sequential_adaptor.records import StackRun, TaskFunction
from sequential_adaptor.runners.base import Assignment
from sequential_adaptor.runners.fetch import FetchRunner

CODE = """
async def main(count):
    total = 0
    for number in range(count):
        answer = await call_host_tool("numbers", "next", {"number": number})
        total += answer["value"]
    return total
"""
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def outcome(number: int) -> StackRun:
    """The recorded answer of call ``number``."""
    return StackRun(
        id=f"run.{number}",
        task_run_id="run",
        parent_stack_run_id="run",
        sequence=number,
        position=number - 1,
        operation="numbers.next",
        input={"number": number - 1},
        status="completed",
        result={"value": number, "unit": "m"},
        ended_at=STARTED + timedelta(milliseconds=number),
    )


async def main(count: int) -> None:
    """Measure both, three times each, and print the best."""
    runner = FetchRunner()
    function = TaskFunction(identifier="sum", code=CODE)
    outcomes = [outcome(number) for number in range(1, count + 1)]
    live, replay, state = [], [], None
    for _ in range(3):
        session = runner.session(Assignment(function, "run", "run", count, None, STARTED))
        state = (await session.start([])).state
        started = time.process_time()
        for each in outcomes:
            turn = await session.take(each)
        live.append(time.process_time() - started)
        assert turn.ending is not None
        assert turn.ending.result == count * (count + 1) // 2
        await session.close()
    for _ in range(3):
        session = runner.session(Assignment(function, "run", "run", count, state, STARTED))
        started = time.process_time()
        turn = await session.start(outcomes)
        replay.append(time.process_time() - started)
        assert turn.ending is not None
        assert turn.ending.result == count * (count + 1) // 2
        await session.close()
    print(f"live step      {min(live) / count * 1e6:6.1f} µs CPU")
    print(f"replayed call  {min(replay) / count * 1e6:6.1f} µs CPU   ({count} calls: {min(replay) * 1e3:.1f} ms)")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
