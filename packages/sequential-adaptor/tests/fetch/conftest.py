"""A driver that plays the engine over the session of the fetch runner: it records what happens, and replays it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from textwrap import dedent
from typing import Any

import pytest

from sequential_adaptor import values
from sequential_adaptor.outcomes import error_as_json
from sequential_adaptor.records import StackRun, TaskFunction
from sequential_adaptor.runners.base import Assignment, Call, Ending, Turn
from sequential_adaptor.runners.fetch import FetchRunner
from sequential_adaptor.runners.fetch.session import FetchSession
from sequential_adaptor.services.sending import HttpSender

STARTED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class Driver:
    """One task: ``stored`` is what a store would hold of it, ``open_calls`` what it waits for, ``log`` its lines."""

    def __init__(self, runner: FetchRunner, code: str, input: Any, options: dict[str, Any]) -> None:
        self.runner = runner
        self.function = TaskFunction(identifier="task", code=dedent(code), **options)
        self.input = input
        self.now = STARTED
        self.state: Any = None
        self.stored: dict[str, StackRun] = {}
        self.open_calls: dict[int, Call] = {}
        self.made: list[str] = []
        self.log: list[str] = []
        self.turn = Turn()
        self.session: FetchSession | None = None
        self._position = 0

    @property
    def ending(self) -> Ending | None:
        return self.turn.ending

    @property
    def result(self) -> Any:
        assert self.ending is not None, f"the task still waits for {self.open_calls}"
        assert self.ending.status == "completed", (self.ending.error or {}).get("traceback", self.ending)
        return self.ending.result

    @property
    def error(self) -> dict[str, Any]:
        assert self.ending is not None, f"the task still waits for {self.open_calls}"
        assert self.ending.status == "failed", self.ending
        return self.ending.error

    def happened(self) -> list[StackRun]:
        """What was taken, in order, with what the task settled by itself."""
        return sorted((r for r in self.stored.values() if r.position is not None), key=lambda r: r.position or 0)

    async def start(self, history: list[StackRun] | None = None) -> Turn:
        """Open a session over what is stored, or over ``history``."""
        await self.close()
        self.open_calls.clear()
        rows = [_copied(record) for record in (self.stored.values() if history is None else history)]
        self.session = self.runner.session(
            Assignment(self.function, "run", "run", values.copy(self.input), values.copy(self.state), STARTED)
        )
        return self._note(await self.session.start(rows[::-1]))

    async def take(self, happening: StackRun) -> Turn:
        assert self.session is not None
        position, self._position = self._position, self._position + 1
        self.open_calls.pop(happening.sequence or 0, None)
        turn = await self.session.take(_copied(happening))
        if turn.fired is not None:
            happening = happening.replace(result=turn.fired)
        self.stored[happening.id] = happening.replace(position=position)
        return self._note(turn)

    async def finish(self, sequence: int, result: Any = None, after: float = 0.001) -> Turn:
        return await self.take(self._outcome(sequence, after, status="completed", result=result))

    async def fail(self, sequence: int, error: Any, after: float = 0.001) -> Turn:
        return await self.take(self._outcome(sequence, after, status="failed", error=error))

    async def timer(self, late: float = 0.0) -> Turn:
        """The earliest timer is due, and somebody looks so many seconds later."""
        assert self.turn.deadline is not None, "no timer"
        self.now = max(self.now, self.turn.deadline + timedelta(seconds=late))
        return await self.take(self._happening("timer", f"run.t{self._position}"))

    async def event(self, name: str, data: Any = None) -> Turn:
        return await self.take(self._happening(f"event:{name}", f"run.e{self._position}", result=data))

    async def cancel(self) -> Turn:
        return await self.take(self._happening("cancel", f"run.c{self._position}"))

    async def perform(self, sequence: int, answer: Callable[[Call], Any] | None = None) -> Turn:
        """Perform a call as an engine would: its function, else ``answer``."""
        call = self.open_calls[sequence]
        try:
            result = call.function() if call.function is not None else (answer or _no_answer)(call)
            if inspect.isawaitable(result):
                result = await result
            values.check(result)
        except Exception as error:
            return await self.fail(sequence, error_as_json(error))
        return await self.finish(sequence, result)

    async def finish_all(self, answer: Callable[[Call], Any] | None = None) -> Any:
        """Perform calls, the oldest first, and let timers go off where there are none; the task's result."""
        if self.session is None:
            await self.start()
        while self.ending is None:
            ready = [n for n, call in self.open_calls.items() if not call.operation.startswith(("sleep", "wait:"))]
            await (self.perform(min(ready), answer) if ready else self.timer())
        return self.result

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()
            self.session = None

    def _note(self, turn: Turn) -> Turn:
        self.turn = turn
        self.log += turn.log
        if turn.state is not None:
            self.state = values.copy(turn.state)
        for call in turn.calls:
            self.open_calls[call.sequence] = call
            record = StackRun(
                id=f"run.{call.sequence}", sequence=call.sequence, operation=call.operation, input=call.input
            )
            if record.id not in self.stored:
                self.made.append(call.operation)
                self.stored[record.id] = record.replace(status="in_progress", options=call.options, created_at=self.now)
        for sequence, ending in turn.settled.items():
            del self.open_calls[sequence]
            settled = {"status": ending.status, "result": ending.result, "error": ending.error}
            stored = self.stored[f"run.{sequence}"]
            assert stored.position is None, "a call was settled twice"
            self.stored[stored.id] = stored.replace(position=self._position, ended_at=self.now, **settled)
            self._position += 1
        return turn

    def _outcome(self, sequence: int, after: float, **fields: Any) -> StackRun:
        assert sequence in self.open_calls, f"no open call {sequence}: {self.open_calls}"
        self.now += timedelta(seconds=after)
        return self.stored[f"run.{sequence}"].replace(ended_at=self.now, **fields)

    def _happening(self, operation: str, id: str, result: Any = None) -> StackRun:
        return StackRun(id=id, operation=operation, status="completed", result=result, ended_at=self.now)


def _no_answer(call: Call) -> Any:
    raise AssertionError(f"no answer for {call}")


def _copied(record: StackRun) -> StackRun:
    """The record as a store would give it: with values of its own."""
    names = ("input", "options", "result", "error")
    return record.replace(**{name: values.copy(getattr(record, name)) for name in names})


MakeDriver = Callable[..., Driver]


@pytest.fixture
async def runner() -> AsyncIterator[FetchRunner]:
    made = FetchRunner()
    await made.init()
    yield made
    await made.dispose()


@pytest.fixture
async def task(runner: FetchRunner) -> AsyncIterator[MakeDriver]:
    """``task(code, input)`` makes a driver; sessions are closed at the end."""
    drivers: list[Driver] = []

    def make(code: str, input: Any = None, *, of: FetchRunner | None = None, **options: Any) -> Driver:
        drivers.append(Driver(of or runner, code, input, options))
        return drivers[-1]

    yield make
    await asyncio.gather(*(driver.close() for driver in drivers))


class Api:
    """A local HTTP/1.1 server on the test's own loop. ``answer`` is given (method, target, headers, body)."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[..., tuple[int, dict[str, str], bytes]] = lambda *_: (200, {}, b"ok")
        self.secrets: dict[str, str] = {}
        self._sender = HttpSender()

    async def send(self, call: Call) -> Any:
        """Perform a request as the engine does."""

        async def secret(name: str) -> Any:
            return self.secrets.get(name)

        return await self._sender.send(
            call.input if call.live_input is None else call.live_input,
            operation=call.operation,
            options=call.options or {},
            idempotency_key=f"run.{call.sequence}",
            resolve=secret,
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split()
                headers = {}
                while (line := await reader.readline()).strip():
                    name, _, text = line.decode().partition(":")
                    headers[name.strip().lower()] = text.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((method, target, headers, body))
                status, given, content = self.answer(method, target, headers, body)
                head = "".join(f"{name}: {text}\r\n" for name, text in given.items())
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{head}\r\n".encode() + content)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def aclose(self) -> None:
        await self._sender.aclose()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    await made.aclose()
    server.close()
    await server.wait_closed()
