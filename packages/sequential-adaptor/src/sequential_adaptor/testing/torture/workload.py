"""The tasks: a few ways to make calls, each of which can be held against what the service answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

KINDS: Final = ("chain", "gather", "fetch", "timer", "falsy")
FALSY: Final[tuple[Any, ...]] = (0, False, "", [], {}, None)

CODE: Final = '''
"""Calls a service that misbehaves, and remembers each answer: whatever happens, the past stays what it was."""

import asyncio

from sequential_adaptor.task import call_host_tool, fetch


async def ask(input, n, before):
    asked = {"run": input["run"], "n": n, "before": before}
    if input["kind"] != "fetch":
        return await call_host_tool("torture", "ask", asked)
    response = await fetch(input["url"], method="POST", json=asked)
    response.raise_for_status()
    return response.json()["result"]


async def main(input):
    calls, answers = range(input["calls"]), []
    if input["kind"] == "gather":
        answers = list(await asyncio.gather(*(ask(input, n, []) for n in calls[:-1])))
        return [*answers, await ask(input, calls[-1], answers)]
    for n in calls:
        answers.append(await ask(input, n, list(answers)))
        if input["kind"] == "timer":
            await asyncio.sleep(0.05)
    return answers
'''


@dataclass(frozen=True, slots=True)
class Plan:
    """One task: its run's id, its kind, and how many calls it makes."""

    run: str
    kind: str
    calls: int

    def input(self, url: str) -> dict[str, Any]:
        """What the run is given."""
        return {"run": self.run, "kind": self.kind, "calls": self.calls, "url": url}

    def before(self, n: int, answers: list[Any]) -> list[Any]:
        """What call n says of those before it, if the calls were answered so."""
        if self.kind == "gather":
            return answers[:-1] if n == self.calls - 1 else []
        return answers[:n]


def plans(prefix: str, tasks: int, calls: int) -> list[Plan]:
    """The tasks of a torture, every kind in turn."""
    return [Plan(f"{prefix}-{n}", KINDS[n % len(KINDS)], calls) for n in range(tasks)]
