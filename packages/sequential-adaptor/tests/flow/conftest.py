"""Machines made at random, and the held-out vectors where they are at hand."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

EVENTS = ("E1", "E2", "E3", "E3.x")
VECTORS = Path(__file__).parents[5] / "shared" / "conformance" / "flow.json"
STEPS = Path(__file__).with_name("steps.py")


@pytest.fixture(scope="session")
def steps() -> ModuleType:
    """The script that takes steps of vectors, as a module."""
    spec = importlib.util.spec_from_file_location("flow_steps", STEPS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def steps_script() -> Path:
    return STEPS


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The held-out conformance vectors, which are not part of the project."""
    if not VECTORS.exists():
        pytest.skip("the held-out vectors are not beside this repository (../shared/conformance/flow.json)")
    found: dict[str, Any] = json.loads(VECTORS.read_text("utf-8"))
    return found


class _Draft:
    """A machine that is being made: a tree of states first, then what leads from one to another."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.count = 0
        self.paths: dict[str, str] = {}

    def one(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) < percent)

    def machine(self) -> dict[str, Any]:
        root = self.tree("", 0)
        root |= {"id": "m", "context": {"n": 0, "seen": None}}
        self.fill(root, "")
        return root

    def tree(self, path: str, depth: int) -> dict[str, Any]:
        shapes = ("compound",) if depth == 0 else ("atomic", "atomic", "compound", "parallel", "final")
        kind = self.one(*(shapes if depth < 3 else ("atomic", "atomic", "final")))
        if depth == 0 and self.chance(25):
            kind = "parallel"
        if kind in ("atomic", "final"):
            return {"type": "final"} if kind == "final" and depth else {}
        return self.family(kind, path, depth)

    def family(self, kind: str, path: str, depth: int) -> dict[str, Any]:
        states: dict[str, Any] = {}
        for _ in range(self.draw(st.integers(1 if kind == "compound" else 2, 3))):
            self.count += 1
            key = f"s{self.count}"
            below = f"{path}.{key}" if path else key
            states[key] = self.tree(below, depth + 1)
            if kind == "parallel" and states[key].get("type") == "final":
                del states[key]["type"]
            self.paths[below] = states[key].get("type", "")
        found: dict[str, Any] = {"states": states}
        if kind == "parallel":
            found["type"] = "parallel"
        else:
            found["initial"] = self.one(*states)
        if self.chance(30):
            self.remember(found, path)
        return found

    def remember(self, found: dict[str, Any], path: str) -> None:
        """Add a history state, sometimes with a default of its own."""
        self.count += 1
        key = f"h{self.count}"
        history = {"type": "history", "history": self.one("deep", "shallow")}
        if "initial" in found and self.chance(50):
            history["target"] = self.one(*found["states"])
        found["states"][key] = history
        self.paths[f"{path}.{key}" if path else key] = "history"

    def fill(self, state: dict[str, Any], path: str) -> None:
        kind = state.get("type")
        if kind == "history":
            return
        state["entry"], state["exit"] = [f"+{path}", *self.changes(20)], [f"-{path}", *self.changes(10)]
        if kind != "final":
            self.arrows(state, path)
        elif self.chance(50):
            state["output"] = {"from": path, "n": {"$context": "n"}}
        for key, child in state.get("states", {}).items():
            self.fill(child, f"{path}.{key}" if path else key)

    def arrows(self, state: dict[str, Any], path: str) -> None:
        events = self.draw(st.lists(st.sampled_from([*EVENTS, "*", "E3.*"]), max_size=3, unique=True))
        state["on"] = {event: self.arrow(path) for event in events}
        if self.chance(15):
            limit = {"type": "context_compare", "params": {"key": "n", "op": "<", "value": 4}}
            state["always"] = [{**self.arrow(path), "guard": limit}]
        if self.chance(20):
            state["after"] = {str(self.one(5, 10, 20)): self.arrow(path)}
        if "states" in state and self.chance(50):
            state["onDone"] = self.arrow(path)
        if self.chance(15):
            handlers = {"onDone": self.arrow(path)} | ({"onError": self.arrow(path)} if self.chance(50) else {})
            state["invoke"] = {"id": f"i{path}", "src": "work", "input": {"n": {"$context": "n"}}, **handlers}

    def arrow(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.chance(85):
            found["target"] = f"#m.{self.one(*self.paths)}"
        if self.chance(25):
            found["reenter"] = True
        if self.chance(25):
            found["guard"] = self.guard()
        found["actions"] = [*([f"from {path}"] if self.chance(50) else []), *self.changes(30)]
        return found

    def guard(self) -> dict[str, Any]:
        inside = {"type": "state_in", "params": {"state": f"#m.{self.one(*self.paths)}"}}
        small = {"type": "context_compare", "params": {"key": "n", "op": self.one("<", ">="), "value": self.one(1, 3)}}
        several = {"type": self.one("and", "or"), "params": {"guards": [inside, small]}}
        return dict(self.one(inside, small, several, {"type": "not", "params": {"guard": inside}}))

    def changes(self, percent: int) -> list[Any]:
        if not self.chance(percent):
            return []
        event = {"type": self.one(*EVENTS)}
        late = {"event": event, "delay": self.one(0, 3, 15), "id": self.one("t1", "t2")}
        return [
            self.one(
                {"type": "increment", "params": {"key": "n", "by": 1}},
                {"type": "assign", "params": {"values": {"seen": {"$event": "type"}}}},
                {"type": "raise", "params": {"event": event}},
                {"type": "raise", "params": late},
                {"type": "cancel", "params": {"id": "t1"}},
            )
        ]


@st.composite
def cases(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """A machine that loads, and steps to take with it."""
    draft = _Draft(draw)
    machine = draft.machine()
    sends = st.builds(lambda event: {"send": {"type": event}}, st.sampled_from([*EVENTS, "E9"]))
    advances = st.builds(lambda by: {"advance": by}, st.integers(1, 30))
    ids = [f"i{path}" for path in ("", *draft.paths)]
    ends = st.builds(
        lambda id, out: {"resolve": {"invoke": id, "output": out}}, st.sampled_from(ids), st.integers(0, 3)
    )
    fails = st.builds(lambda id: {"reject": {"invoke": id, "error": "no"}}, st.sampled_from(ids))
    steps = draw(st.lists(st.one_of(sends, sends, advances, ends, fails), min_size=1, max_size=8))
    return {"machine": machine, "steps": steps, "max_steps": 300}


@pytest.fixture(scope="session")
def random_cases() -> st.SearchStrategy[dict[str, Any]]:
    return cases()
