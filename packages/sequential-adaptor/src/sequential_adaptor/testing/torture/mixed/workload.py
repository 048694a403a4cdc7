"""Runs that wait, start others, go through a queue, fail and go on, and clean up behind them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

CHILDREN: Final = 3
EVENTS: Final = 5
LIMIT: Final = 3
KEYS: Final = 4
ENTER, WAITING, LATE, REFUSED, FAILED, CLEAN_UP = 0, 1, 2, 3, 8, 9
"""The numbers of calls; ``REFUSED`` is refused until its run may go on, and ``FAILED`` cleans up when it was."""

KINDS: Final = (
    *("family", "before", "during", "after", "order"),
    *("timer", "limited", "scheduled", "retried", "forked"),
)
CALLS: Final = {
    "family": 1 + CHILDREN + 1 + 1,
    "single": 2,
    "before": 2,
    "during": 3,
    "after": 4,
    "order": 1 + EVENTS + 1,
    "timer": 4,
    "limited": 3,
    "scheduled": 2,
    "retried": 3,
    "forked": 4,
}
"""How many calls a run of each kind makes, if nobody cancels it; the last of them cleans up."""
PRUNED: Final = "pruned"
"""What has become of a run that retention has forgotten."""
REQUESTS: Final = 5
"""About as many requests to the service come of one run and its children."""

CODE: Final = '''
"""What a run does is in its input: every kind once, and a clean-up whatever happens."""

import asyncio

from sequential_adaptor.task import call_host_tool, run_task, sleep, wait_for_event


async def ask(input, n):
    return await call_host_tool("torture", "ask", {"run": input["run"], "n": n, "before": []})


async def family(input):
    own = await ask(input, 0)
    kinds = ("family" if input["depth"] else "single", "single", "fails")
    about = {"task": input["task"], "depth": input["depth"] - 1}
    young = [{**about, "run": f"{input['run']}-{n}", "kind": kind} for n, kind in enumerate(kinds)]
    found = await asyncio.gather(*(run_task(input["task"], one) for one in young), return_exceptions=True)
    left = {**about, "run": f"{input['run']}-7", "kind": "single"}
    await run_task(input["task"], left, id=left["run"], detached=True)
    return [own, [str(one) if isinstance(one, Exception) else one for one in found]]


async def single(input):
    return await ask(input, 0)


async def fails(input):
    await ask(input, 0)
    raise LookupError("no luck")


async def before(input):
    return await wait_for_event("go", timeout=600)


async def during(input):
    await ask(input, 1)
    return await wait_for_event("go", timeout=600)


async def after(input):
    try:
        await wait_for_event("go", timeout=0.2)
    except TimeoutError:
        await ask(input, 2)
    return await wait_for_event("go")


async def order(input):
    await ask(input, 1)
    return [await wait_for_event("n") for _ in range(input["events"])]


async def timer(input):
    first = await ask(input, 0)
    await asyncio.sleep(0.3)
    await sleep(1.5)
    async with asyncio.timeout(600):
        return [first, await ask(input, 1)]


async def limited(input):
    first = await ask(input, 0)
    await asyncio.sleep(0.05)
    return [first, await ask(input, 1)]


async def scheduled(input):
    return await ask(input, 0)


async def retried(input):
    first = await ask(input, 0)
    try:
        return [first, await ask(input, 3)]
    except Exception:
        input["end"] = 8
        raise


async def forked(input):
    first = await ask(input, 0)
    input["run"] = await wait_for_event("name")
    return [first, input["run"], await ask(input, 1)]


async def main(input):
    try:
        return await globals()[input["kind"]](input)
    finally:
        await ask(input, input.get("end", 9))
'''


@dataclass(frozen=True, slots=True)
class Plan:
    """One run that is submitted.

    - ``cancel`` is ``soft``, ``force`` or ``None``; ``cancel_at`` how many requests came before it.
    - ``delay``: seconds until its events are sent, counted from what they wait for; or until its start time.
    - ``key``, ``priority``: its place, if it goes through the queue.
    """

    run: str
    kind: str
    cancel: str | None
    cancel_at: float
    delay: float
    key: str | None
    priority: int

    def input(self, task: str) -> dict[str, Any]:
        """What the run is given."""
        return {"run": self.run, "task": task, "kind": self.kind, "depth": 1, "events": EVENTS}

    @property
    def events(self) -> list[tuple[str, Any]]:
        """What it is sent, in order."""
        if self.kind == "order":
            return [("n", number) for number in range(EVENTS)]
        return [("name" if self.kind == "forked" else "go", self.run)]

    @property
    def fork(self) -> str:
        """The id of its fork, and what that is called by the event which it goes on with."""
        return f"{self.run}-1"


def plans(prefix: str, count: int, seed: int, cancels: float) -> list[Plan]:
    """The runs of a torture, every kind in turn; ``cancels`` is the share of those that somebody cancels."""
    chance = random.Random(f"mixed:{seed}")
    return [_plan(f"{prefix}-{number}", KINDS[number % len(KINDS)], count, cancels, chance) for number in range(count)]


def _plan(run: str, kind: str, count: int, cancels: float, chance: random.Random) -> Plan:
    cancel = chance.choice(("soft", "soft", "force")) if chance.random() < cancels else None
    return Plan(
        run,
        kind,
        cancel,
        cancel_at=chance.uniform(0, count * REQUESTS * 0.7),
        delay=chance.uniform(0, 1.5),
        key=f"key-{chance.randrange(KEYS)}" if chance.random() < 0.5 else None,
        priority=chance.randint(-2, 2),
    )
