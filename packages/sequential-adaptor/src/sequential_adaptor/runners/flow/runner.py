"""The flow runner: a module with a ``graph`` and one function per state that does work."""

from __future__ import annotations

from sequential_adaptor.runners.base import Assignment
from sequential_adaptor.runners.fetch import clients, guard
from sequential_adaptor.runners.fetch.runner import FetchRunner
from sequential_adaptor.runners.flow.frame import FlowSession


class FlowRunner(FetchRunner):
    """Runs statecharts. The options are those of the fetch runner, whose tasks the functions of states are."""

    def session(self, assignment: Assignment) -> FlowSession:
        """A session for one frame."""
        clients.install()
        guard.install()
        return FlowSession(assignment, self._rules, self._threads)
