"""Runs today's code through recorded histories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from sequential_adaptor import values
from sequential_adaptor.engine.publishing import source_of
from sequential_adaptor.errors import ConfigurationError, NonDeterminismError
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.runners.base import Assignment, Ending, Runner, Turn
from sequential_adaptor.runners.fetch import identity
from sequential_adaptor.runners.fetch.happenings import is_call
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.testing.replaying.histories import History
from sequential_adaptor.testing.replaying.noting import Noted, note_calls
from sequential_adaptor.testing.replaying.report import Divergence, Replayed, ReplayReport
from sequential_adaptor.values import JSON

Code: TypeAlias = str | Path | Callable[..., Any] | TaskFunction | None
"""Source text, a path, a function, or a stored version."""

_NOT_BY_ITS_CODE = frozenset({"Cancelled", "DeadTask", "TaskFunctionNotFound"})
"""Errors by which runs end whatever their code does."""


async def replay(
    histories: Iterable[History],
    code: Code = None,
    *,
    entry: str | None = None,
) -> ReplayReport:
    """Run today's code through histories of ``fetch`` and ``flow`` runs, and say where they would part.

    ``code`` is what :meth:`Engine.publish` takes (source text, a path, or a function), or a version as it is stored;
    ``None`` is the one that each run began with. Nothing is performed, stored or sent: what was recorded is all that
    the code is given. As on every replay, the code's module is executed.
    """
    from sequential_adaptor import registry

    runners: dict[str, Runner] = {}
    replayed = []
    try:
        for history in histories:
            name = history.run.runner
            if name not in runners:
                runners[name] = await registry.create("runner", name)
            replayed.append(await _replay(history, runners[name], _todays(history.function, code, entry), code))
    finally:
        for runner in runners.values():
            await runner.dispose()
    return ReplayReport(replayed)


def _todays(recorded: TaskFunction, code: Code, entry: str | None) -> TaskFunction:
    if code is None:
        if not recorded.code:
            raise ConfigurationError(
                f"version {recorded.version[:12]} of {recorded.identifier!r} is not stored; give the code"
            )
        return recorded
    if isinstance(code, TaskFunction):
        return code
    source = source_of(code)
    entry = entry or source.entry
    metadata = recorded.metadata if entry is None else {**(recorded.metadata or {}), "entry": entry}
    return recorded.replace(code=source.code, modules=source.modules or None, metadata=metadata, version="")


async def _replay(history: History, runner: Runner, function: TaskFunction, code: Code) -> Replayed:
    run, frame = history.run, history.frame
    begun = run.started_at or run.created_at or datetime.now(UTC)
    session = runner.session(Assignment(function, run.id, frame.id, run.input, frame.state, begun))
    if not isinstance(session, FetchSession):
        raise ConfigurationError(f"run {run.id} is run by {run.runner!r}; only runs of fetch and flow can be replayed")
    calls = [row for row in history.rows if row.sequence is not None and is_call(row)]
    noted = note_calls(session, function, code if isinstance(code, str | Path) else None)
    divergence = None
    if frame.state is not None:  # else it has not begun
        turn = await session.start(history.known())
        await session.close()
        divergence = _divergence(history, {row.sequence or 0: row for row in calls}, turn, noted)
    return Replayed(run.id, run.task_identifier, run.status, sum(_is_made(row, noted) for row in calls), divergence)


def _is_made(row: StackRun, noted: Noted) -> bool:
    """Whether today's code makes the very call again."""
    made = noted.calls.get(row.sequence or 0)
    return made is not None and identity.same(made[0].operation, made[0].input, row.operation, row.input)


def _divergence(history: History, recorded: dict[int, StackRun], turn: Turn, noted: Noted) -> Divergence | None:
    for sequence, (made, line) in noted.calls.items():
        row = recorded.get(sequence)
        if row is not None and not _is_made(row, noted):
            return Divergence(row.id, _call(row), f"`{identity.described(made.operation, made.input)}`", line)
    missing = min((sequence for sequence in recorded if sequence not in noted.calls), default=None)
    if missing is not None:
        return Divergence(recorded[missing].id, _call(recorded[missing]), _instead(turn, noted), noted.stands)
    if history.run.status not in TASK_RUN.ended:
        return _still_waiting(history, turn, noted)
    return _other_end(history.run, recorded, turn, noted)


def _call(row: StackRun) -> str:
    return f"`{identity.described(row.operation, row.input)}`"


def _instead(turn: Turn, noted: Noted) -> str:
    ending = noted.ending or turn.ending
    stopped = ending is None or _error(ending.error)[0] == NonDeterminismError.__name__
    return "is not made" if ending is None or stopped else f"is not made: the task {_ended(ending)}"


def _still_waiting(history: History, turn: Turn, noted: Noted) -> Divergence | None:
    """A run that has not ended must not end by what it has been through already."""
    if turn.ending is not None:
        return Divergence(None, "waits", _ended(turn.ending), noted.stands)
    before, after = _states(history.frame.state), _states(turn.state)
    if after is None or before == after:
        return None
    return Divergence(None, f"stands in {_shown(before)}", f"stands in {_shown(after)}")


def _other_end(run: TaskRun, recorded: dict[int, StackRun], turn: Turn, noted: Noted) -> Divergence | None:
    error = run.error if isinstance(run.error, dict) else {}
    if error.get("type") in _NOT_BY_ITS_CODE:
        return None
    then = Ending(run.status, run.result, run.error)
    if turn.ending is None:
        more = next((call for call in noted.calls.items() if call[0] not in recorded), None)
        now = (
            "does not end"
            if more is None
            else f"makes call {more[0]}, `{identity.described(more[1][0].operation, more[1][0].input)}`"
        )
        return Divergence(None, _ended(then), now, noted.stands if more is None else more[1][1])
    if _same_end(turn.ending, then):
        return None
    return Divergence(None, _ended(then), _ended(turn.ending), noted.stands)


def _same_end(one: Ending, other: Ending) -> bool:
    if one.status != other.status:
        return False
    return values.identical(one.result, other.result) and _error(one.error) == _error(other.error)


def _error(error: JSON) -> tuple[JSON, JSON]:
    return (error.get("type"), error.get("message")) if isinstance(error, dict) else (None, None)


def _ended(ending: Ending) -> str:
    if ending.status == "completed":
        return f"completed with {_shown(ending.result)}"
    kind, message = _error(ending.error)
    return f"{ending.status} with {kind}: {message}"


def _states(state: JSON) -> JSON:
    """Where a flow stands; ``None`` for what is none."""
    flow = state.get("flow") if isinstance(state, dict) else None
    snapshot = flow.get("snapshot") if isinstance(flow, dict) else None
    return snapshot.get("value") if isinstance(snapshot, dict) else None


def _shown(value: JSON, limit: int = 200) -> str:
    text = values.encode(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
