"""The diagrams in docs/lifecycles.md are those of the declared lifecycles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN, Lifecycle


def diagram(lifecycle: Lifecycle) -> str:
    """A lifecycle as Mermaid draws it, arrow by arrow as its ``transitions`` machine has them."""
    machine = lifecycle.machine()
    lines = ["stateDiagram-v2", f"    [*] --> {machine.initial}"]
    for source in lifecycle.states:
        arrows = machine.get_transitions(source=source)
        lines += [f"    {source} --> {arrow.dest}: {_trigger(machine, arrow)}" for arrow in arrows]
    lines += [f"    {state} --> [*]" for state in lifecycle.states if state in lifecycle.ended]
    return "\n".join(lines) + "\n"


def _trigger(machine: Any, arrow: object) -> str:
    names = (
        name for name, event in machine.events.items() if any(arrow in found for found in event.transitions.values())
    )
    return str(next(names))


@pytest.mark.parametrize(("index", "lifecycle"), [(0, TASK_RUN), (1, STACK_RUN)], ids=["task run", "stack run"])
def test_a_diagram_in_the_docs_is_that_of_the_declared_lifecycle(docs: Path, index: int, lifecycle: Lifecycle) -> None:
    page = (docs / "lifecycles.md").read_text(encoding="utf-8")
    diagrams = re.findall(r"^```mermaid\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(diagrams) == 2
    assert diagrams[index] == diagram(lifecycle)


@pytest.mark.parametrize("lifecycle", [TASK_RUN, STACK_RUN], ids=["task run", "stack run"])
def test_every_status_is_explained(docs: Path, lifecycle: Lifecycle) -> None:
    page = (docs / "lifecycles.md").read_text(encoding="utf-8")
    explained = re.findall(r"\*\*(\w+)\*\*", page)
    assert set(lifecycle.states) <= set(explained)
