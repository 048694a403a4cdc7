"""One invocation: a function, a child flow or a child task, with its retries, its time limit and its items."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from sequential_adaptor import task
from sequential_adaptor.errors import TaskError
from sequential_adaptor.runners.fetch.copies import fresh
from sequential_adaptor.runners.flow.policies import Policy
from sequential_adaptor.values import JSON

Work = Callable[[JSON], Awaitable[JSON]]


def child_task(identifier: str) -> Work:
    """What runs another task as a child."""
    return lambda input: task.run_task(identifier, input)


def function_work(function: Callable[..., Any], context: JSON) -> Work:
    """What calls a function with ``(input)`` or ``(input, context)``, whichever it takes."""
    count = _positional(function)

    async def work(input: JSON) -> Any:
        result = function(*(fresh(input), fresh(context))[:count])
        return await result if inspect.isawaitable(result) else result

    return work


def _positional(function: Callable[..., Any]) -> int:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return 2
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )


async def carried_out(work: Work, input: JSON, policy: Policy, chance: Random) -> JSON:
    """The outcome of an invocation under its policy."""
    if policy.map is None:
        return await _tried(work, input, policy, chance)
    if not isinstance(input, list):
        raise TaskError(f"'map' needs a list as input, not {type(input).__name__}")
    free = asyncio.Semaphore(policy.map)

    async def one(item: JSON) -> JSON:
        async with free:
            return await _tried(work, item, policy, chance)

    return await _all([one(item) for item in input])


async def _all(parts: list[Any]) -> list[JSON]:
    """The results in order; the first error cancels the others."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for other in tasks:
            other.cancel()


async def _tried(work: Work, input: JSON, policy: Policy, chance: Random) -> JSON:
    failures = 0
    while True:
        try:
            async with asyncio.timeout(policy.timeout):
                return await work(input)
        except Exception as error:
            failures += 1
            if failures >= policy.attempts or not policy.tries_again(error):
                raise
        await asyncio.sleep(policy.pause(failures, chance))
