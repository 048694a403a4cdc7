"""Vectors, one step at a time: the guards and actions that they name, a step, and what is wrong with its outcome.

As a script it takes step ``n`` of many vectors, so that a test can take each step in a process of its own.
"""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sequential_adaptor.flow import Machine, Step

COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def look_up(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def filled_in(value: Any, context: Any, event: Any) -> Any:
    if isinstance(value, dict):
        if "$event" in value:
            return look_up(event, value["$event"])
        if "$context" in value:
            return look_up(context, value["$context"])
        return {key: filled_in(item, context, event) for key, item in value.items()}
    return value


def throw(context: Any, event: Any, params: Any) -> Any:
    raise RuntimeError(params["message"])


GUARDS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "constant": lambda context, event, params: params["value"],
    "context_equals": lambda context, event, params: look_up(context, params["key"]) == params["value"],
    "context_compare": lambda context, event, params: COMPARE[params["op"]](
        look_up(context, params["key"]), params["value"]
    ),
    "event_equals": lambda context, event, params: look_up(event, params["key"]) == params["value"],
    "throws": throw,
}
ACTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "increment": lambda context, event, params: {params["key"]: context[params["key"]] + params["by"]},
    "multiply": lambda context, event, params: {params["key"]: context[params["key"]] * params["by"]},
    "append": lambda context, event, params: {
        params["key"]: [*context[params["key"]], filled_in(params["value"], context, event)]
    },
    "throw": throw,
}


def sources(state: dict[str, Any]) -> Iterator[str]:
    """The names that a machine's states invoke."""
    invokes = state.get("invoke") or []
    yield from (invoke["src"] for invoke in (invokes if isinstance(invokes, list) else [invokes]))
    for child in (state.get("states") or {}).values():
        yield from sources(child)


def load_case(case: dict[str, Any]) -> Machine:
    """A vector's machine, or a random one, with everything that it names."""
    return Machine.load(
        case["machine"],
        functions=set(sources(case["machine"])),
        guards=GUARDS,
        actions=ACTIONS,
        delays=case.get("delays"),
        max_steps=case.get("max_steps", 10_000),
    )


def take(case: dict[str, Any], number: int, before: Step | dict[str, Any] | None, machine: Machine) -> Step:
    """Step ``number`` of a case (0 starts it), from the snapshot before it."""
    if number == 0 or before is None:
        return machine.start(case.get("input"), at=0.0)
    snapshot = before.snapshot if isinstance(before, Step) else before
    step = case["steps"][number - 1]
    at = sum(earlier.get("advance", 0) for earlier in case["steps"][:number]) / 1000
    if "send" in step:
        return machine.send(snapshot, step["send"], at=at)
    if "advance" in step:
        return machine.advance(snapshot, at=at)
    if "resolve" in step:
        return machine.resolve(snapshot, step["resolve"]["invoke"], step["resolve"].get("output"), at=at)
    return machine.reject(snapshot, step["reject"]["invoke"], step["reject"].get("error"), at=at)


def expectation(case: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = case["steps"][number - 1]["expect"] if number else case["initial"]
    return found


def outcome(step: Step, expected: dict[str, Any]) -> dict[str, Any]:
    """What the step gave, as far as a vector says anything about it."""
    if expected["status"] == "error":
        return {"status": step.status}
    invokes = [{key: invoke[key] for key in ("src", "input")} for invoke in step.invokes]
    for invoke, wanted in zip(invokes, expected.get("invokes", []), strict=False):
        if "input" not in wanted:
            del invoke["input"]
    found = {
        "status": step.status,
        "leaves": step.leaves,
        "actions": [action for action in step.actions if isinstance(action, str)],
        "context": step.snapshot["context"],
        "output": step.snapshot["output"],
        "invokes": invokes,
        "tags": step.tags,
    }
    return {key: found[key] for key in expected}


def main(number: int) -> None:
    """Read cases with the snapshot before the step, write the snapshot after it and what is wrong."""
    for line in sys.stdin:
        case, before = json.loads(line)
        step = take(case, number, before, load_case(case))
        expected = expectation(case, number)
        found = outcome(step, expected)
        wrong = None if found == expected else f"{case['id']}, step {number}: {found} is not {expected}"
        print(json.dumps([step.snapshot, wrong]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
