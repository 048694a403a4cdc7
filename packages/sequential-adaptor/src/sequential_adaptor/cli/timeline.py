"""A run drawn as a timeline of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sequential_adaptor.cli import families, flow_states, formats
from sequential_adaptor.cli.console import draws_lines
from sequential_adaptor.records import StackRun, TaskRun

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sequential_adaptor.cli.querying import Story

SHOWN_CALLS = 200
_BAR = 24


def draw(console: Console, story: Story, now: datetime) -> None:
    """Head, calls, log and end of a run. Timers are left out; they show as the gaps between calls."""
    run = story.run
    events = [event for event in story.events if event.operation != "timer"]
    calls = sorted([*story.calls, *events], key=lambda row: (row.created_at or now, row.sequence or 0))
    console.print(*_head(run, now), sep="\n", soft_wrap=True)
    if story.wait is not None:
        console.print(_field("waits" if story.wait.at is not None else "queue", str(story.wait)), soft_wrap=True)
    if calls:
        console.print()
        console.print(_table(run, calls[:SHOWN_CALLS], now, console.width))
    if len(calls) > SHOWN_CALLS:
        console.print(f"... and {len(calls) - SHOWN_CALLS:,} more calls; --json has all of them")
    if story.children:
        console.print()
        console.print(families.drawn(story.children, now))
    if story.flow is not None:
        console.print()
        console.print(flow_states.drawn(story.flow))
    if story.log:
        console.print("\nlog")
        for line in story.log:
            console.print(f"  {formats.printable(str(line)).rstrip()}")
    console.print()
    console.print(*_end(run), sep="\n", soft_wrap=True)


def _head(run: TaskRun, now: datetime) -> list[Text]:
    from rich.text import Text

    status = formats.status_word(run.status)
    when = f" in {formats.took(run)}" if run.ended_at else f", begun {formats.age(run.created_at, now)} ago"
    title = Text.assemble((run.task_identifier, "bold"), "  ", run.id, "  ", (status, formats.STYLES[run.status]), when)
    lines = [title, _field("input", formats.short(run.input, 300))]
    if run.parent_stack_run_id is not None:
        lines.append(_field("call", f"{run.parent_stack_run_id} has started it"))
    return lines


def _end(run: TaskRun) -> list[Text]:
    from rich.text import Text

    if run.status == "completed":
        return [_field("result", formats.short(run.result, 2000))]
    if run.status == "failed":
        found = run.error if isinstance(run.error, dict) else {}
        lines = [_field("error", formats.error_line(run.error, 2000), "red")]
        if found.get("traceback"):
            lines.append(Text(formats.printable(str(found["traceback"])).rstrip()))
        return lines
    if run.status == "cancelled":
        found = run.error if isinstance(run.error, dict) else {}
        where = f": {formats.printable(str(found['message']))}" if found.get("type") == "Moved" else ""
        return [Text(f"cancelled{where}", style="magenta")]
    return [Text(f"It goes on when somebody works on it: sequential run {run.task_identifier} --id {run.id}")]


def _field(name: str, text: str, style: str = "dim") -> Text:
    from rich.text import Text

    return Text.assemble((f"{name:<8}", style), text)


def _table(run: TaskRun, calls: Sequence[StackRun], now: datetime, width: int) -> Table:
    from rich.table import Table

    axis = _Axis(run, calls, now, _BAR if width < 110 else 2 * _BAR)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("call", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(axis.label(), width=axis.width, no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("outcome", ratio=2, no_wrap=True, overflow="ellipsis")
    table.expand = True
    for call in calls:
        number = str(call.sequence) if call.sequence is not None else ""
        table.add_row(
            number, formats.call_title(call, 200), axis.bar(call), formats.took(call), formats.outcome(call, 200)
        )
    return table


class _Axis:
    """Maps times to columns."""

    def __init__(self, run: TaskRun, calls: Sequence[StackRun], now: datetime, width: int) -> None:
        self.width = width
        begins = [time for time in (run.created_at, *(call.created_at for call in calls)) if time is not None]
        self._now = run.ended_at or now
        self._begin = min(begins, default=now)
        ends = [call.ended_at for call in calls if call.ended_at is not None]
        self._length = max((max([self._now, *ends]) - self._begin).total_seconds(), 1e-6)
        self._line, self._open = ("━", "╌") if draws_lines() else ("=", "-")

    def label(self) -> str:
        """``0 ms ... 1.2 s``, over the width."""
        left, right = "0 s", formats.duration(self._length)
        return left + right.rjust(self.width - len(left))

    def bar(self, call: StackRun) -> Text:
        """The time that a call took, where it took it; dashed while it has not ended."""
        from rich.text import Text

        begin = self._column(call.created_at or self._begin)
        end = max(self._column(call.ended_at or self._now), begin + 1)
        begin = min(begin, self.width - 1)
        sign = self._open if call.ended_at is None else self._line
        return Text(" " * begin + sign * (min(end, self.width) - begin), style=formats.STYLES[call.status])

    def _column(self, time: datetime) -> int:
        share = (time - self._begin).total_seconds() / self._length
        return round(min(max(share, 0.0), 1.0) * self.width)
