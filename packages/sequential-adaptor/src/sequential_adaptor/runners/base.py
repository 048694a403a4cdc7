"""What a runner is: the documented methods, and the session by which the engine keeps a task in memory.

The documented methods (`run`, `resume`) are complete in themselves: ``state`` is all that another process needs. The
engine goes through :meth:`Runner.session` instead, which leaves out of ``state`` what has rows of its own: code, input,
outcomes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sequential_adaptor.records import StackRun, TaskFunction
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Completed:
    """The task has ended with this result."""

    result: JSON


@dataclass(frozen=True, slots=True)
class Call:
    """An outside call that a task has made.

    - ``sequence``: n of ``<frame id>.<n>``, counted per frame from 1 in the order in which the code makes its calls.
    - ``operation`` and ``input`` are what is stored, and what a replay is compared with.
    - ``options`` are stored and never compared (``attempts``, ``timeout``, ``secrets``, ...).
    - ``function``: the Python function of a step; ``live_input``: the input with the secret parts that are not stored.
      A call with either can be performed only where its session is (*in place*).
    """

    sequence: int
    operation: str
    input: JSON = None
    options: JSON = None
    function: Callable[[], Awaitable[Any] | Any] | None = field(default=None, compare=False)
    live_input: JSON = field(default=None, compare=False)

    @property
    def in_place(self) -> bool:
        """Whether only the holder of the session can perform it."""
        return self.function is not None or self.live_input is not None


@dataclass(frozen=True, slots=True)
class Suspended:
    """The task waits for ``calls``; ``state`` is complete JSON, and ``resume(state, response)`` goes on from it
    anywhere."""

    state: JSON
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class CallResults:
    """The outcomes of several calls, by ``sequence``: values in ``results``, errors (as stored) in ``errors``."""

    results: Mapping[int, JSON] = field(default_factory=dict)
    errors: Mapping[int, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a frame ended: ``status`` is ``completed`` (with ``result``), ``failed`` or ``cancelled`` (with
    ``error``)."""

    status: str
    result: JSON = None
    error: JSON = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a task did from one happening to the next standstill.

    - ``calls``: the calls it made, in order. The first turn of a session that replays a history holds every call that
      is without an outcome, those already stored too.
    - ``settled``: calls that ended without an outcome from outside, by ``sequence``: given up by the task
      (``cancelled``), or waits, sleeps and the like that the happening itself brought to an end.
    - ``deadline``: when the earliest timer of the task's loop is due, if there is one.
    - ``log``: the lines it printed, in order, none of them a second time on replay.
    - ``state``: the frame's new state, ``None`` where it has not changed.
    - ``fired``: which loop timers went off, to be stored as the ``result`` of the ``timer`` that was taken: on replay
      the same ones go off, although a library's jitter may have given them other durations.
    - ``ending``: set when the frame has ended.
    """

    calls: tuple[Call, ...] = ()
    settled: Mapping[int, Ending] = field(default_factory=dict)
    deadline: datetime | None = None
    log: tuple[str, ...] = ()
    state: JSON = None
    fired: JSON = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """One frame, as a runner gets it: its code, its input, and what it left behind.

    ``started_at`` is when the frame first ran, the same on every replay: a task's clock begins there.
    """

    function: TaskFunction
    run_id: str
    frame_id: str
    input: JSON
    state: JSON
    started_at: datetime


class Session(ABC):
    """A frame in memory. The engine never calls two of its methods at once.

    A *happening* is an ended stack run below the frame: the outcome of a call; ``timer`` (the task's clock has moved on
    to its ``ended_at``); ``event:<name>`` (data in ``result``); ``cancel``. They are taken one at a time, in the order
    of ``position``, and the task runs to a standstill after each: so a replay is the run once more. Every one of them
    moves the task's clock; only a ``timer`` lets timers go off. So a ``deadline`` may have passed when it is reported:
    a ``timer`` is to be taken at once then.
    """

    @abstractmethod
    async def start(self, history: Sequence[StackRun]) -> Turn:
        """Run to the first standstill at which nothing of ``history`` is left to take.

        ``history`` holds the stack runs below the frame, in any order. Those with a ``position`` are taken in that
        order; one whose call is no longer outstanding by then (it was settled by the task itself) is passed over. The
        others are calls that are stored and have no outcome yet, which the code must make again just as they are.
        """

    @abstractmethod
    async def take(self, happening: StackRun) -> Turn:
        """Go on with one thing that has happened."""

    @abstractmethod
    async def close(self) -> None:
        """Forget the frame. None of the task's code has an effect any more."""


class Runner(ABC):
    """What executes code. A plug-in has the five documented methods; ``session`` has a default over ``run`` and
    ``resume``."""

    @abstractmethod
    async def init(self) -> None:
        """Make ready. A second call does nothing."""

    @abstractmethod
    async def run(self, code: str, input: JSON) -> Completed | Suspended:
        """Run code from its beginning to its end or its first standstill; raises what the code raises."""

    @abstractmethod
    async def resume(self, state: JSON, response: JSON | CallResults) -> Completed | Suspended:
        """Go on from a state, in any process, with the value of its one outstanding call or with ``CallResults``."""

    @abstractmethod
    async def status(self) -> dict[str, JSON]:
        """What the runner is doing, as JSON."""

    @abstractmethod
    async def dispose(self) -> None:
        """Give back what is held. Twice is harmless."""

    def session(self, assignment: Assignment) -> Session:
        """A session for one frame."""
        from sequential_adaptor.runners.plain import PlainSession

        return PlainSession(self, assignment)
