"""The flow runner: a module with a ``graph`` and one function per state that does work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sequential_adaptor.records import StackRun
from sequential_adaptor.runners.base import Assignment, CallResults
from sequential_adaptor.runners.fetch import clients, guard
from sequential_adaptor.runners.fetch.happenings import EVENT
from sequential_adaptor.runners.fetch.runner import FetchRunner
from sequential_adaptor.runners.fetch.standalone import Standalone, StandaloneTask
from sequential_adaptor.runners.flow.frame import FlowSession
from sequential_adaptor.values import JSON


class FlowRunner(FetchRunner):
    """Runs statecharts. The options are those of the fetch runner, whose tasks the functions of states are.

    ``resume(state, {"type": "PAID", ...})`` gives the flow an event; any other response is that of a call, as there.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._standalone = Standalone(self.session, FlowTask)

    def session(self, assignment: Assignment) -> FlowSession:
        """A session for one frame."""
        clients.install()
        guard.install()
        return FlowSession(assignment, self._rules, self._threads)


class FlowTask(StandaloneTask):
    """A flow that no engine looks after."""

    def _happenings(self, response: JSON | CallResults) -> Iterator[StackRun]:
        if isinstance(response, dict) and isinstance(response.get("type"), str) and response["type"]:
            data = {key: value for key, value in response.items() if key != "type"}
            yield self._happening(EVENT + response["type"], result=data)
        else:
            yield from super()._happenings(response)
