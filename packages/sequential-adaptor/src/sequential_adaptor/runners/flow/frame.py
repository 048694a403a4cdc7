"""One flow in memory: a task's frame whose code is a graph and its functions."""

from __future__ import annotations

from typing import Any

from sequential_adaptor.errors import TaskError
from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.fetch.copies import fresh
from sequential_adaptor.runners.fetch.frame_state import FrameState
from sequential_adaptor.runners.fetch.hosting import TaskFrame
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.runners.flow.driver import Driver
from sequential_adaptor.runners.flow.module import FlowModule
from sequential_adaptor.values import JSON


class FlowState(FrameState):
    """A frame's state, and beside it where the flow stands: what a process that is not the flow's can look at."""

    def __init__(self, stored: JSON, seed: str) -> None:
        known = stored if isinstance(stored, dict) else {}
        base = {name: value for name, value in known.items() if name != "flow"}
        super().__init__(base or None)
        self.seed = seed
        self.flow: JSON = None
        self._base: dict[str, JSON] = base
        self._flow_stored: JSON = known.get("flow")

    def news(self, imported: set[str]) -> dict[str, JSON] | None:
        """The state to store; ``None`` where it is stored as it is."""
        base = super().news(imported)
        if base is None and self.flow == self._flow_stored:
            return None
        self._base = base or self._base
        self._flow_stored = fresh(self.flow)  # what it is made of goes on changing
        return {**self._base, "flow": self._flow_stored}


class FlowFrame(TaskFrame):
    """Its main task drives the machine; an event that no function waits for is the machine's."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.state: FlowState = FlowState(self.assignment.state, self.state.seed)
        self._driver: Driver | None = None

    async def _execute(self, name: str | None) -> Any:
        module = FlowModule.read(self.program, self.modules, name)
        self._driver = Driver(module, self.loop, self.random, self._started, self._show)
        return await self._driver.run(fresh(self.assignment.input))

    @property
    def _started(self) -> float:
        return self.clock.started_at.timestamp()

    def _show(self, flow: JSON) -> None:
        self.state.flow = flow

    def _deliver(self, name: str, event: StackRun) -> None:
        if self._driver is None or self.inbox.awaits(name):
            super()._deliver(name, event)
        else:
            self._driver.post(name, event.result)

    def _can_go_on(self) -> bool:
        return super()._can_go_on() or (self._driver is not None and self._driver.is_waiting)

    def _deadlock(self) -> TaskError:
        if self._driver is None:
            return super()._deadlock()
        return TaskError(
            f"the flow stands in {', '.join(self._driver.leaves)}, and nothing can lead on: no event is waited for, "
            "nothing is running, no timer is set. Is it the end? Then give the state 'type': 'final'"
        )


class FlowSession(FetchSession):
    """One flow; :class:`~sequential_adaptor.runners.base.Session` is what it promises."""

    frame_type = FlowFrame
