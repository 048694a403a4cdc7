"""The states of a flow's run: which it has been in, and where it stands."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sequential_adaptor.cli import formats
from sequential_adaptor.engine import Engine
from sequential_adaptor.records import TaskRun
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from rich.table import Table

    from sequential_adaptor.runners.flow.watching import FlowView


async def states_of(engine: Engine, run: TaskRun) -> FlowView | None:
    """Where the flow has been; ``None`` where the run is no flow, or has made no step."""
    if run.runner != "flow":
        return None
    from sequential_adaptor.runners.flow.watching import view

    found = await view(engine, run.id)
    return found if found.snapshot is not None else None


def drawn(flow: FlowView) -> Table:
    """One line for each state, in the order in which they were first entered; the active ones are marked."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("state", "entered", "last", ""):
        table.add_column(name, no_wrap=True)
    for path, visit in sorted(flow.visits.items(), key=lambda item: item[1]["first"]):
        here = Text("here" if path in flow.leaves else "", style="cyan")
        times = "once" if visit["count"] == 1 else f"{visit['count']} times"
        table.add_row(path, times, formats.clock(datetime.fromisoformat(visit["last"])), here)
    return table


def as_json(flow: FlowView | None) -> JSON:
    """The same for ``--json``."""
    if flow is None:
        return None
    return {"active": flow.leaves, "tags": flow.tags, "visits": flow.visits}
