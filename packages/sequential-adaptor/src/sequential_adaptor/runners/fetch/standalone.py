"""``run`` and ``resume`` without an engine: states that hold all of a task, and sessions kept while they last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sequential_adaptor import ids
from sequential_adaptor.errors import ConfigurationError, TaskCancelled, TaskFailed
from sequential_adaptor.records import StackRun, TaskFunction
from sequential_adaptor.runners.base import Assignment, Call, CallResults, Completed, Suspended, Turn
from sequential_adaptor.runners.fetch.copies import fresh
from sequential_adaptor.runners.fetch.happenings import EVENT, TIMER
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.values import JSON

_MOST_KEPT = 64
_STATE = 1
_HAPPENED = ("operation", "sequence", "position", "status", "result", "error")


class Standalone:
    """The tasks of one runner that no engine looks after. ``open`` makes a session for an assignment."""

    def __init__(
        self, open: Callable[[Assignment], FetchSession], task_type: type[StandaloneTask] | None = None
    ) -> None:
        self._open = open
        self.task_type = task_type or StandaloneTask
        self._kept: OrderedDict[str, StandaloneTask] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def run(self, code: str, input: JSON) -> Completed | Suspended:
        """Begin."""
        task = self.task_type(self._open, {"format": _STATE, "id": ids.new_id(), "code": code, "input": fresh(input)})
        return await self._stand(task, await task.start())

    async def resume(self, state: JSON, response: JSON | CallResults) -> Completed | Suspended:
        """Go on."""
        if not isinstance(state, dict) or state.get("format") != _STATE:
            raise ConfigurationError(
                "this is no state of the fetch runner; give the `state` of what run() or resume() returned"
            )
        task = self._kept.pop(state["id"], None)
        turn = None
        if task is None or len(task.history) != len(state["history"]):
            if task is not None:
                await task.session.close()
            task = self.task_type(self._open, fresh(state))
            turn = await task.start()
        return await self._stand(task, turn, response)

    async def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            _, task = self._kept.popitem()
            await task.session.close()

    async def _stand(
        self, task: StandaloneTask, turn: Turn | None, *responses: JSON | CallResults
    ) -> Completed | Suspended:
        for response in responses:
            if turn is None or turn.ending is None:
                turn = await task.answer(response)
        assert turn is not None  # either it was just started, or answered
        if turn.ending is None:
            await self._keep(task)
            return Suspended(task.state(), tuple(task.outstanding.values()))
        await task.session.close()
        if turn.ending.status == "completed":
            return Completed(turn.ending.result)
        if turn.ending.status == "cancelled":
            raise TaskCancelled(task.id)
        raise task.session.raised or TaskFailed(task.id, turn.ending.error)

    async def _keep(self, task: StandaloneTask) -> None:
        self._kept[task.id] = task
        while len(self._kept) > _MOST_KEPT:
            _, oldest = self._kept.popitem(last=False)
            await oldest.session.close()


class StandaloneTask:
    """A task with all that is known of it: ``history`` is what happened, ``outstanding`` the calls that are open."""

    def __init__(self, open: Callable[[Assignment], FetchSession], state: dict[str, Any]) -> None:
        self.id: str = state["id"]
        self.history = [_record(item) for item in state.get("history", ())]
        self.outstanding: dict[int, Call] = {}
        self._code, self._input = state["code"], state["input"]
        self._recorded: dict[int, dict[str, JSON]] = {call["sequence"]: call for call in state.get("calls", ())}
        self._frame_state = state.get("frame")
        self._log: list[str] = state.get("log", [])
        self._deadline: datetime | None = None
        self._started_at = _time(state["started_at"]) if "started_at" in state else datetime.now(UTC)
        function = TaskFunction(identifier="task", code=self._code)
        self.session = open(Assignment(function, self.id, self.id, self._input, self._frame_state, self._started_at))

    def state(self) -> dict[str, JSON]:
        """All that another process needs."""
        return fresh(  # type: ignore[no-any-return]  # a copy of a dict
            {
                "format": _STATE,
                "id": self.id,
                "code": self._code,
                "input": self._input,
                "started_at": self._started_at.isoformat(),
                "frame": self._frame_state,
                "history": [_happened(record) for record in self.history],
                "calls": list(self._recorded.values()),
                "log": self._log,
            }
        )

    async def start(self) -> Turn:
        """Run it from the beginning through its history."""
        answered = {record.sequence for record in self.history}
        calls = [_call(item) for n, item in self._recorded.items() if n not in answered]
        stored = {record.sequence: self._recorded[record.sequence] for record in self.history if record.sequence}
        history = [
            record.replace(input=stored[record.sequence]["input"]) if record.sequence else record
            for record in self.history
        ]
        return self._note(await self.session.start([*history, *calls]))

    async def answer(self, response: JSON | CallResults) -> Turn:
        """Let the task have an answer, or several one by one; the last turn."""
        turn = Turn()
        for happening in self._happenings(response):
            turn = await self._take(happening)
            if turn.ending is not None:
                break
        return turn

    async def _take(self, happening: StackRun) -> Turn:
        turn = await self.session.take(happening)
        if happening.operation == TIMER and turn.fired is not None:
            happening = happening.replace(result=turn.fired)
        self.history.append(happening)
        self.outstanding.pop(happening.sequence or 0, None)
        return self._note(turn)

    def _note(self, turn: Turn) -> Turn:
        for call in turn.calls:
            self.outstanding[call.sequence] = call
            item = {"sequence": call.sequence, "operation": call.operation, "input": call.input}
            self._recorded.setdefault(call.sequence, item)
        for sequence in turn.settled:
            self.outstanding.pop(sequence, None)
        self._deadline = turn.deadline
        self._log += turn.log
        self._frame_state = turn.state or self._frame_state
        return turn

    def _happenings(self, response: JSON | CallResults) -> Iterator[StackRun]:
        if isinstance(response, CallResults):
            for sequence in sorted({*response.results, *response.errors}):
                yield self._outcome(sequence, response.results.get(sequence), response.errors.get(sequence))
            return
        open_calls = [call for call in self.outstanding.values() if call.operation != "sleep"]
        if len(open_calls) > 1:
            raise ConfigurationError(f"{len(open_calls)} calls are open: give CallResults, with results by `sequence`")
        if not open_calls:
            yield self._happening(TIMER)
        elif open_calls[0].operation.startswith("wait:"):
            yield self._happening(EVENT + open_calls[0].operation.removeprefix("wait:"), result=response)
        else:
            yield self._outcome(open_calls[0].sequence, response, None)

    def _outcome(self, sequence: int, result: JSON, error: JSON) -> StackRun:
        call = self.outstanding.get(sequence)
        if call is None:
            raise ConfigurationError(
                f"no call {sequence} is open (open: {', '.join(map(str, self.outstanding)) or 'none'})"
            )
        status = "completed" if error is None else "failed"
        return self._happening(call.operation, sequence=sequence, status=status, result=result, error=error)

    def _happening(self, operation: str, **fields: Any) -> StackRun:
        now = datetime.now(UTC)
        if operation == TIMER:
            now = max(now, self._deadline or now)
        last = self.history[-1].ended_at if self.history else None
        given: dict[str, Any] = {
            "status": "completed",
            "position": len(self.history),
            "ended_at": max(now, last or now),
        }
        return StackRun(id=f"{self.id}.h{len(self.history)}", operation=operation, **(given | fields))


def _happened(record: StackRun) -> dict[str, JSON]:
    found = {name: getattr(record, name) for name in _HAPPENED}
    return found | {"ended_at": record.ended_at.isoformat() if record.ended_at else None}


def _record(item: Mapping[str, JSON]) -> StackRun:
    fields: dict[str, Any] = {**item, "ended_at": _time(item["ended_at"])}
    return StackRun(id=f"h{item['position']}", **fields)


def _call(item: Mapping[str, JSON]) -> StackRun:
    return StackRun(id=f"c{item['sequence']}", status="in_progress", **item)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
