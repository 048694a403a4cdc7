"""A runner whose code is a list of groups of service calls: the engine by itself, without Python tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sequential_adaptor import CallResults, Completed, Runner, Suspended, register
from sequential_adaptor.runners import Call


class GroupsRunner(Runner):
    """``[["s.a"], ["s.b", "s.c"]]`` calls ``a``, then ``b`` and ``c`` at once, and gives back all results in order."""

    async def init(self) -> None: ...

    async def run(self, code: str, input: Any) -> Completed | Suspended:
        return self._next(json.loads(code), [])

    async def resume(self, state: Any, response: Any) -> Completed | Suspended:
        if isinstance(response, CallResults):
            found = [response.results[number] for number in sorted(response.results)]
        else:
            found = [response]
        return self._next(state["left"], [*state["done"], *found])

    async def status(self) -> dict[str, Any]:
        return {}

    async def dispose(self) -> None: ...

    def _next(self, groups: list[list[str]], done: list[Any]) -> Completed | Suspended:
        if not groups:
            return Completed(done)
        calls = tuple(Call(number, operation, [number]) for number, operation in enumerate(groups[0], 1))
        return Suspended({"left": groups[1:], "done": done}, calls)


@pytest.fixture(autouse=True)
def groups_runner() -> None:
    register("runner", "groups", GroupsRunner, replace=True)
