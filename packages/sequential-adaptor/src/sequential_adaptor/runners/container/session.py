"""A script in the engine: each step is a call, which the holder of the frame performs, with a layer as result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sequential_adaptor.errors import CallFailed, SequentialError
from sequential_adaptor.outcomes import error_as_json, type_name
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Assignment, Ending, Session, Turn
from sequential_adaptor.runners.container.errors import CommandFailed
from sequential_adaptor.runners.container.jobs import make_job
from sequential_adaptor.runners.container.scripts import Script, read_script
from sequential_adaptor.runners.container.stopping import Position, call_of
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.runners.container.runner import ContainerRunner

_CANCELLED = Ending("cancelled", error={"type": "CancelledError", "message": "cancelled"})
_LINES = 20


class ContainerSession(Session):
    """One run of a script; :class:`~sequential_adaptor.runners.base.Session` is what it promises.

    It begins in an empty folder, or on the layer that ``# from: REF`` names, whatever the head is: so the same script
    finds its layers again. Each step reads the run's input. A step whose layer is there is not run again.
    """

    def __init__(self, runner: ContainerRunner, assignment: Assignment) -> None:
        self._runner = runner
        self._assignment = assignment
        self._position: Position | None = None

    async def start(self, history: Sequence[StackRun]) -> Turn:
        """Go through the steps that have ended; the next one is the call."""
        calls = {row.sequence: row for row in history if row.sequence is not None}
        try:
            script = read_script(self._assignment.function.code)
            self._position = Position(script.steps, 0, await self._base(script, calls.get(1)))
        except SequentialError as error:
            return Turn(ending=Ending("failed", error=error_as_json(error)))
        for row in sorted((row for row in history if row.position is not None), key=_position_of):
            turn = await self.take(row)
            if turn.ending is not None:
                return replace(turn, log=())
        return self._turn(())

    async def take(self, happening: StackRun) -> Turn:
        """A step has ended: its layer is what the next one runs on."""
        if happening.operation == "cancel":
            return Turn(ending=_CANCELLED)
        position = self._position
        if position is None or happening.sequence != position.index + 1:
            return Turn()
        if happening.status != "completed":
            return Turn(ending=Ending("failed", error=happening.error))
        return self._ended(position, happening.result)

    async def close(self) -> None:
        """Forget it; the layers stay."""
        self._position = None

    def _ended(self, position: Position, layer: JSON) -> Turn:
        log = (_told(position, layer),)
        if position.index + 1 == len(position.steps):
            return Turn(log=log, ending=Ending("completed", result=layer))
        self._position = replace(position, index=position.index + 1, base=layer["hash"])
        return self._turn(log)

    def _turn(self, log: tuple[str, ...]) -> Turn:
        assert self._position is not None  # the session is open
        function = partial(self._perform, self._position)
        return Turn(calls=(replace(call_of(self._position), function=function),), log=log)

    async def _base(self, script: Script, first: StackRun | None) -> str | None:
        """What the first step was begun on stays so, wherever the tag has moved since."""
        if first is not None:
            base: str | None = first.input["parent"]
            return base
        begun: str | None = (await self._runner.begin(script)).state["layer"]
        return begun

    async def _perform(self, position: Position) -> JSON:
        step = position.step
        job = make_job(self._runner.settings, step.command, self._assignment.input, strict=step.strict)
        try:
            layer = await self._runner.perform(job, base=lambda: position.base, borrow=True)
        except CommandFailed as error:
            raise CallFailed(_with_output(error), type=type_name(error).rpartition(".")[2]) from error
        return layer.result


def _position_of(row: StackRun) -> int:
    assert row.position is not None  # the others were left out
    return row.position


def _told(position: Position, layer: JSON) -> str:
    """A line of the run's log."""
    changes = sum(map(len, layer["changed"].values()))
    how = "there already" if layer["cached"] else f"{layer['seconds']:.1f} s"
    return (
        f"{position.index + 1}/{len(position.steps)} {position.step.title}: {layer['short']}, {changes} changed, {how}"
    )


def _with_output(error: CommandFailed) -> str:
    """The error with the last lines of what the command printed: nobody else has them."""
    lines = [*error.stdout.splitlines(), *error.stderr.splitlines()][-_LINES:]
    said = str(error)
    return said if len(lines) == 1 and said.endswith(lines[0].strip()) else "\n".join([said, *lines])
