"""fork, retry, prune, cancel, and the tree of children: going back, forgetting, ending, and seeing what belongs."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import create_adapter

BANK = """
from pathlib import Path
from sequential_adaptor.task import step

def price(n):
    return 40

def pay(n):
    if not Path("open").exists():
        raise ConnectionError("closed")
    return n

async def main(n):
    return await step(pay, await step(price, n))
"""
FAMILY = """
import asyncio
from sequential_adaptor.task import run_task

async def main(depth):
    if depth == 0:
        return await run_task("echo", "leaf", id="free", detached=True)
    return await asyncio.gather(run_task("family", depth - 1), run_task("failing", 0), return_exceptions=True) and depth
"""


@pytest.fixture
def failed(sequential: Any, folder: Path) -> Any:
    """A run ``r`` that failed at its second call."""
    (folder / "bank.py").write_text(BANK)
    assert sequential("run", "bank.py", "--id", "r", "--input", "1").code == 1
    return sequential


def test_a_failed_run_names_its_remedy_and_goes_on_by_it(failed: Any, folder: Path) -> None:
    again = failed("run", "bank", "--id", "r")
    assert again.err.endswith(
        "Look at its calls: sequential show r\nGo on at the call that failed: sequential retry r\n"
    )
    (folder / "open").touch()
    assert failed("retry", "r").err == "run r goes on at r.2 when somebody works on it\n"
    assert failed("run", "bank", "--id", "r", "--json").json()["result"] == 40
    assert "retried" in failed("show", "r").out
    refused = failed("retry", "r")
    assert (refused.code, refused.err.split("\n")[0]) == (
        1,
        "Error: Run r has not failed; it is completed. Begin a new run with its history: sequential fork r --at CALL",
    )


def test_several_runs_are_retried_and_those_that_cannot_be_are_named(failed: Any) -> None:
    failed("run", "echo.py", "--id", "fine", "--input", "1")
    failed("run", "bank", "--id", "s", "--input", "2")
    found = failed("retry", "r", "fine", "s")
    assert found.code == 1
    assert found.err.count("goes on at") == 2
    assert "Error: Run fine has not failed" in found.err
    assert failed("retry", "r", "s", "--latest").code == 1  # both are pending now


def test_a_fork_is_printed_by_its_id_and_goes_on_with_what_was_given(failed: Any) -> None:
    found = failed("fork", "r", "--at", "2", "--result", "0", "--id", "f")
    assert (found.out, found.err) == (
        "f\n",
        "It goes on when somebody works on it: sequential run bank --id f\n",
    )
    assert failed("run", "bank", "--id", "f", "--json").json()["result"] == 0
    assert failed("fork", "r", "--at", "r.2", "--result", "null", "--json").json()["status"] == "pending"
    broken = failed("fork", "r", "--at", "1", "--error", '{"type": "KeyError", "message": "gone"}', "--id", "e")
    assert broken.code == 0
    assert failed("run", "bank", "--id", "e", "--json").json()["error"]["type"] == "KeyError"


def test_a_fork_that_cannot_be_says_why_and_what_there_is(failed: Any) -> None:
    missing = failed("fork", "r", "--at", "9")
    assert missing.err == (
        "Error: Run r has no call 9; its calls are: 1 (step:price), 2 (step:pay)\n"
        "Look at its calls: sequential show r\n"
    )
    both = failed("fork", "r", "--at", "1", "--result", "1", "--error", '"x"')
    assert (both.code, "give one of --result and --error" in both.err) == (2, True)
    assert failed("fork", "r").code == 2
    taken = failed("fork", "r", "--at", "1", "--id", "r")
    assert "a different TaskRun 'r' exists already: it is not this fork of r" in taken.err.lower().replace(
        "taskrun", "TaskRun"
    )


def test_show_draws_the_tree_of_children_and_gives_it_as_json(sequential: Any, folder: Path) -> None:
    (folder / "family.py").write_text(FAMILY)
    sequential("publish", "echo.py")
    sequential("publish", "failing.py")
    sequential("run", "family.py", "--id", "top", "--input", "2")
    sequential("work", "--until-idle")
    found = sequential("show", "top")
    lines = [line.rstrip() for line in found.out.partition("children\n")[2].split("\n")[:5]]
    names = [line.lstrip("│├└─ \xa0").split("  ")[0] for line in lines]
    assert names == ["family", "family", "echo", "failing", "failing"]
    assert [line.index(name) // 4 for line, name in zip(lines, names, strict=True)] == [1, 2, 3, 2, 1]
    assert "free  completed" in lines[2]
    assert lines[2].endswith("detached")
    assert lines[4].endswith("ZeroDivisionError: division by zero")
    [child, other] = sequential("show", "top", "--json").json()["children"]
    assert (child["id"], other["id"], other["status"]) == ("top--1", "top--2", "failed")
    [grandchild, _] = child["children"]
    assert grandchild["children"][0] == {
        "id": "free",
        "task": "echo",
        "status": "completed",
        "call": "top--1--1.1",
        "detached": True,
        "children": [],
    }
    assert "top.1 has started it" in sequential("show", "top--1").out


def test_show_lists_the_states_of_a_flow(sequential: Any, folder: Path) -> None:
    (folder / "order.py").write_text(
        'graph = {"id": "order", "initial": "open", "states": {"open": {"on": {"PAY": "paid"}},'
        ' "paid": {"on": {"SHIP": "done"}}, "done": {"type": "final"}}}\n'
    )
    sequential("publish", "order.py", "--runner", "flow")
    sequential("submit", "order", "--id", "o")
    sequential("work", "--until-idle")
    sequential("send", "o", "PAY")
    sequential("work", "--until-idle")
    lines = sequential("show", "o").out.partition("state ")[2].split("\n")
    assert (lines[1].split()[0], lines[2].split()[0], lines[2].split()[-1]) == ("open", "paid", "here")
    flow = sequential("show", "o", "--json").json()["flow"]
    assert (flow["active"], list(flow["visits"])) == (["paid"], ["open", "paid"])
    sequential("run", "echo.py", "--id", "e", "--input", "1")
    assert sequential("show", "e", "--json").json()["flow"] is None


# ---- prune


def test_prune_forgets_says_what_it_kept_and_keeps_the_id(failed: Any) -> None:
    failed("submit", "bank", "--id", "pending", "--input", "1")
    assert failed("prune", "--older-than", "1h").err == "pruned 0 runs\n"
    assert failed("prune", "--older-than", "0s", "--status", "completed", "--dry-run").err == "would prune 0 runs\n"
    found = failed("prune", "--older-than", "0s", "--status", "failed", "--task", "bank", "--json")
    assert found.json() == {"dry_run": False, "pruned": 1, "runs": ["r"], "kept": {}}
    for command in (["show", "r"], ["run", "bank", "--id", "r", "--input", "1"], ["submit", "bank", "--id", "r"]):
        gone = failed(*command)
        assert gone.code == 1
        assert "Error: A run 'r' of bank was there, ended as failed, and was pruned on" in gone.err
        assert "sequential prune --forget r" in gone.err
    assert failed("prune", "--forget", "r").err == "r may be used again\n"
    assert failed("prune", "--forget", "r").code == 1
    assert failed("submit", "bank", "--id", "r", "--input", "1").code == 0


@pytest.mark.parametrize("wrong", ["30", "d", "-1d", "1y", "1e9d", "99999999999d", ""])
def test_a_time_that_is_none_is_wrong_usage(sequential: Any, wrong: str) -> None:
    assert sequential("prune", "--older-than", wrong).code == 2
    assert sequential("work", "--until-idle", "--keep", wrong).code == 2
    assert sequential("prune").code == 2


def test_a_worker_that_keeps_runs_for_a_time_forgets_older_ones(sequential: Any, start: Any) -> None:
    sequential("run", "echo.py", "--id", "old", "--input", "1")
    worker = start("work", "--keep", "0s")
    until = time.monotonic() + 30
    while "old" in sequential("list").out and time.monotonic() < until:
        time.sleep(0.1)
    assert sequential("list", "--json").json() == []
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


# ---- cancel


def test_a_run_whose_worker_is_dead_is_cancelled_from_the_command_line(sequential: Any, folder: Path) -> None:
    for id in ("soft", "hard"):
        sequential("submit", "waiting.py", "--id", id)

    async def die() -> None:
        async with create_adapter("folder", base_path=str(folder / "tasks")) as store:
            assert len(await store.claim_stack_runs("dead", limit=2, lease=1.0)) == 2

    asyncio.run(die())
    assert sequential("cancel", "soft").err == "asked run soft to end\n"
    assert sequential("cancel", "hard", "--force").err == "run hard is cancelled\n"
    assert sequential("work", "--until-idle").code == 0
    assert [run["status"] for run in sequential("list", "--json").json()] == ["cancelled", "cancelled"]


def test_a_queue_and_a_schedule_are_no_runs_to_be_cancelled(sequential: Any) -> None:
    """A queue that was killed would let nobody in any more, and say nothing."""
    sequential("publish", "echo.py")
    sequential("queue", "set", "q", "--limit", "1")
    sequential("schedule", "add", "s", "echo", "--every", "1h")
    for id, remedy in (("queue-q", "sequential queue delete q"), ("schedule-s", "sequential schedule delete s")):
        for refused in (sequential("cancel", id), sequential("cancel", id, "--force")):
            assert refused.code == 1
            assert remedy in refused.err
    assert sequential("submit", "echo", "--queue", "q", "--id", "x").code == 0
    assert sequential("work", "--until-idle").code == 0
    assert sequential("show", "x", "--json").json()["status"] == "completed"


def test_by_force_what_is_left_open_below_a_run_that_has_ended_ends_too(sequential: Any, folder: Path) -> None:
    sequential("run", "echo.py", "--input", "1", "--id", "ended")

    async def made_late(*, read: bool = False) -> str:
        async with create_adapter("folder", base_path=str(folder / "tasks")) as store:
            if not read:
                await store.create_stack_run(
                    {"id": "ended.9", "task_run_id": "ended", "parent_stack_run_id": "ended", "operation": "fetch.get"}
                )
            found = await store.get_stack_run("ended.9")
            assert found is not None
            return found.status

    assert asyncio.run(made_late()) == "pending"
    assert sequential("cancel", "ended", "--force").err == "run ended has ended already: completed\n"
    assert asyncio.run(made_late(read=True)) == "cancelled"


@pytest.mark.parametrize("when", [(), ("--every", "1h", "--cron", "@daily")])
def test_a_schedule_without_one_time_says_how_it_is_said(sequential: Any, when: tuple[str, ...]) -> None:
    refused = sequential("schedule", "add", "s", "echo", *when)
    assert (refused.code, "--cron '30 9 * * MON-FRI', or --every 15min" in refused.err) == (2, True)
