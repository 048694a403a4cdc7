"""The children of a run, theirs, and so on: read level by level, and drawn as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from sequential_adaptor.cli import formats
from sequential_adaptor.engine import Engine, rules
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

MOST_READ = 1_000
"""How many descendants are read; those beyond are counted with their parents only."""
SHOWN = 100
"""How many children of one run are drawn."""


@dataclass(frozen=True, slots=True)
class Child:
    """A run that a call has started; ``run`` is ``None`` where it is not there (any more, or yet)."""

    call: StackRun
    run: TaskRun | None
    children: list[Child] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The id of the run."""
        return rules.child_id(self.call)

    @property
    def is_detached(self) -> bool:
        """Whether it lives by itself."""
        return bool((self.call.options or {}).get("detached"))


async def children_of(engine: Engine, calls: Iterable[StackRun]) -> list[Child]:
    """The children that these calls have started, with theirs, as far as they are read."""
    first = level = await _children(engine, calls)
    seen, read = {child.id for child in level}, len(level)
    while level and read < MOST_READ:
        runs = {child.id: child for child in level if child.run is not None}
        rows = await engine.adapter.query_stack_runs({"task_run_id": list(runs)}) if runs else []
        level = [child for child in await _children(engine, rows) if child.id not in seen]
        for child in level:
            runs[child.call.task_run_id].children.append(child)
        seen |= {child.id for child in level}
        read += len(level)
    return first


async def _children(engine: Engine, rows: Iterable[StackRun]) -> list[Child]:
    calls = sorted((row for row in rows if rules.is_child(row) and not rules.is_undone(row)), key=_order)
    wanted = list(dict.fromkeys(rules.child_id(call) for call in calls))
    runs = await engine.adapter.query_task_runs({"id": wanted}) if wanted else []
    found = {run.id: run for run in runs}
    return [Child(call, found.get(rules.child_id(call))) for call in calls]


def _order(call: StackRun) -> tuple[str, int]:
    return call.task_run_id, call.sequence or 0


def drawn(children: Sequence[Child], now: datetime) -> Tree:
    """The tree, without a root."""
    from rich.tree import Tree

    tree = Tree("children", guide_style="dim")
    _add(tree, children, now)
    return tree


def _add(tree: Tree, children: Sequence[Child], now: datetime) -> None:
    for child in children[:SHOWN]:
        _add(tree.add(_line(child, now)), child.children, now)
    if len(children) > SHOWN:
        tree.add(f"... and {len(children) - SHOWN:,} more")


def _line(child: Child, now: datetime) -> Text:
    from rich.text import Text

    name = child.call.operation.removeprefix(rules.CHILD)
    detached = "  detached" if child.is_detached else ""
    if child.run is None:
        why = formats.error_line(child.call.error, 80) if child.call.error is not None else "not there (any more)"
        return Text.assemble((name, "bold"), "  ", child.id, "  ", why, detached)
    run, status = child.run, formats.status_word(child.run.status)
    when = f" in {formats.took(run)}" if run.ended_at else f", begun {formats.age(run.created_at, now)} ago"
    error = f"  {formats.error_line(run.error, 80)}" if run.status == "failed" else ""
    return Text.assemble(
        (name, "bold"), "  ", run.id, "  ", (status, formats.STYLES[run.status]), when, detached, error
    )


def as_json(children: Sequence[Child]) -> list[JSON]:
    """The same for ``--json``."""
    return [
        {
            "id": child.id,
            "task": child.call.operation.removeprefix(rules.CHILD),
            "status": None if child.run is None else child.run.status,
            "call": child.call.id,
            "detached": child.is_detached,
            "children": as_json(child.children),
        }
        for child in children
    ]
