"""The fetch runner: plain async Python that stops by itself at every outside call."""

from __future__ import annotations

from collections.abc import Iterable

from sequential_adaptor.runners.base import Assignment, CallResults, Completed, Runner, Suspended
from sequential_adaptor.runners.fetch import clients, guard
from sequential_adaptor.runners.fetch.addresses import also_secret
from sequential_adaptor.runners.fetch.redaction import HEADERS, SecretParts
from sequential_adaptor.runners.fetch.rules import Limits, Rules
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.runners.fetch.standalone import Standalone
from sequential_adaptor.runners.fetch.turn_threads import TurnThreads
from sequential_adaptor.values import JSON


class FetchRunner(Runner):
    """Runs plain async Python.

    - ``secret_headers``, ``secret_fields``: more names of headers and query fields whose values are not stored. Names
      of fields hold for the whole process, whose answers must not show them either.
    - ``warn_calls``, ``max_calls``: how many calls a frame may make.
    - ``max_body``: how many bytes a request's body may have.
    - ``threads``: in how many threads tasks take their turns.
    """

    def __init__(
        self,
        *,
        secret_headers: Iterable[str] = (),
        secret_fields: Iterable[str] = (),
        warn_calls: int = 10_000,
        max_calls: int = 100_000,
        max_body: int = 16 * 1024 * 1024,
        threads: int = 8,
    ) -> None:
        also_secret(secret_fields)
        secret_parts = SecretParts(HEADERS | {name.lower() for name in secret_headers})
        self._rules = Rules(Limits(warn_calls, max_calls), secret_parts, max_body)
        self._threads = TurnThreads(threads)
        self._standalone = Standalone(self.session)

    async def init(self) -> None:
        """Nothing to make ready."""

    async def run(self, code: str, input: JSON) -> Completed | Suspended:
        """Run code to its end or its first standstill. The state that it leaves behind is complete."""
        return await self._standalone.run(code, input)

    async def resume(self, state: JSON, response: JSON | CallResults) -> Completed | Suspended:
        """Go on: in the session that stopped there if it is still in memory, else by replaying the state's history.

        ``response`` is the value of the one outstanding call, or ``CallResults``. For a ``wait:<name>`` it is the
        event's data; where the task waits for a timer only it is ``None``, and the task's clock moves on to the
        timer.
        """
        return await self._standalone.resume(state, response)

    async def status(self) -> dict[str, JSON]:
        """``sessions``: how many of those begun by ``run`` are in memory."""
        return {"runner": "fetch", "sessions": len(self._standalone)}

    async def dispose(self) -> None:
        """Close the sessions begun by ``run``; those of the engine are closed by it."""
        await self._standalone.close()
        self._threads.close()

    def session(self, assignment: Assignment) -> FetchSession:
        """A session for one frame."""
        clients.install()
        guard.install()
        return FetchSession(assignment, self._rules, self._threads)
