"""``Machine``: a statechart that is pure. It has no clock, does no I/O, and holds nothing of a flow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from sequential_adaptor import values
from sequential_adaptor.flow import snapshots
from sequential_adaptor.flow.binding import bind
from sequential_adaptor.flow.chart import Chart
from sequential_adaptor.flow.configurations import Configuration
from sequential_adaptor.flow.errors import ActionFailed, EndlessLoop, FlowError, MachineError, SnapshotError
from sequential_adaptor.flow.events import event_of
from sequential_adaptor.flow.expressions import fresh, reader
from sequential_adaptor.flow.guards import Function
from sequential_adaptor.flow.loading import read_chart
from sequential_adaptor.flow.problems import Findings, Problem
from sequential_adaptor.flow.running import Run
from sequential_adaptor.flow.snapshots import ACTIVE, Step
from sequential_adaptor.flow.stepping import Stepper
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    import transitions

MAX_STEPS = 10_000
"""How many microsteps may follow from one event before the machine counts as an endless loop."""

Snapshot = dict[str, JSON]


class Machine:
    """A statechart, ready to run. Every call takes a snapshot and gives back a :class:`Step` with another.

    ``at`` is the time in seconds on the caller's clock; delays in the machine are milliseconds. What is due by ``at``
    happens first, each timer at its own deadline, so that ``advance`` to 5 and then to 10 is ``advance`` to 10.
    A guard or action that raises, and an endless loop, give the snapshot before with ``status`` ``error``.
    """

    def __init__(self, chart: Chart, initial: Any, warnings: tuple[Problem, ...], max_steps: int) -> None:
        self.chart = chart
        self.warnings = warnings
        self.hash = snapshots.hash_of(chart.config)
        self.max_steps = max_steps
        self._initial_context = initial
        self._stepper = Stepper(chart, max_steps)
        self._configurations = self._stepper.configurations

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        *,
        functions: Collection[str] | Mapping[str, Any] | None = None,
        guards: Mapping[str, Function] | None = None,
        actions: Mapping[str, Function | None] | None = None,
        delays: Mapping[str, float | Function] | None = None,
        max_steps: int = MAX_STEPS,
    ) -> Machine:
        """The machine of XState v5 JSON, or :class:`MachineError` with everything that is wrong with it.

        - ``functions``: what states may invoke; only the names matter here.
        - ``guards``: ``fn(context, event, params) -> bool``.
        - ``actions``: ``fn(context, event, params)`` gives a dict of changes to the context, or ``None``. One that is
          named in the machine and not given is recorded in the step, and does nothing.
        - ``delays``: milliseconds, or ``fn(context, event, params)`` giving them.
        """
        findings = Findings()
        chart = read_chart(config, findings)
        given = {"functions": functions or (), "guards": guards or {}, "actions": actions or {}, "delays": delays or {}}
        bind(chart, findings, **given)  # type: ignore[arg-type]  # the four are as declared above
        initial = reader(chart.config.get("context", {}), "context", findings)
        if findings.problems:
            raise MachineError(chart.name, findings.problems)
        return cls(chart, initial, tuple(findings.warnings), max_steps)

    @classmethod
    def from_transitions(
        cls,
        machine: transitions.Machine,
        *,
        guards: Mapping[str, Function] | None = None,
        actions: Mapping[str, Function | None] | None = None,
    ) -> Machine:
        """The same machine as one of the ``transitions`` library, flat or hierarchical.

        Its conditions and callbacks are guards and actions of the same names here; :class:`NotExpressible` names what
        has no counterpart.
        """
        from sequential_adaptor.flow.bridge import config_of

        return cls.load(config_of(machine), guards=guards, actions=actions)

    def to_transitions(self, model: Any = None) -> transitions.Machine:
        """The machine for the ``transitions`` library, on ``model``; :class:`NotExpressible` says what it lacks."""
        from sequential_adaptor.flow.bridge import export

        return export(self.chart, model)

    @property
    def id(self) -> str:
        """The machine's ``id``."""
        return self.chart.name

    def start(self, input: JSON = None, at: float = 0.0) -> Step:
        """Enter the machine. ``input`` is what ``{"$input": path}`` gives."""
        input = values.copy(input)
        nowhere = self._configurations.of([])
        run = Run(nowhere, snapshots.empty({}, input), at)
        run.event = {"type": "xstate.init", "input": input}
        before = {**snapshots.write(run, self.hash), "value": None}
        return self._guarded(before, run, lambda: self._begin(run))

    def send(self, snapshot: Snapshot, event: Mapping[str, Any] | str, at: float = 0.0) -> Step:
        """Give the machine an event: a type, or an object with one. What nobody waits for changes nothing."""
        event = event_of(event)
        run = self._open(snapshot, at)
        return self._guarded(snapshot, run, lambda: self._take(run, event, at))

    def resolve(
        self, snapshot: Snapshot, invoke_id: str, output: JSON = None, at: float = 0.0, *, token: int | None = None
    ) -> Step:
        """An invocation has ended with ``output``; one that is not running (or not with that token) changes nothing."""
        output = values.copy(output)
        event = {"type": f"xstate.done.actor.{invoke_id}", "output": output, "actorId": invoke_id}
        run = self._open(snapshot, at)
        return self._guarded(snapshot, run, lambda: self._end(run, invoke_id, token, event, at))

    def reject(
        self, snapshot: Snapshot, invoke_id: str, error: object, at: float = 0.0, *, token: int | None = None
    ) -> Step:
        """An invocation has failed; where no ``onError`` takes that, the flow fails with the same error.

        ``error`` is an exception, a message, or an object with ``message``.
        """
        found = values.copy(snapshots.error_value(error))
        event = {"type": f"xstate.error.actor.{invoke_id}", "error": found, "actorId": invoke_id}
        run = self._open(snapshot, at)
        return self._guarded(snapshot, run, lambda: self._end(run, invoke_id, token, event, at))

    def advance(self, snapshot: Snapshot, at: float) -> Step:
        """Fire what is due by ``at``, in the order of the deadlines."""
        run = self._open(snapshot, at)
        return self._guarded(snapshot, run, lambda: self._fire(run, at))

    def next_deadline(self, snapshot: Snapshot) -> float | None:
        """When the next timer is due, in seconds on the caller's clock; ``None`` where nothing is pending."""
        self._read(snapshot)
        return snapshot["timers"][0]["at"] if snapshot["status"] == ACTIVE and snapshot["timers"] else None

    def invocations(self, snapshot: Snapshot) -> list[dict[str, JSON]]:
        """What is running, ``{"id", "src", "input", "token"}`` each, in the order in which it was started."""
        self._read(snapshot)
        names = ("id", "src", "input", "token")
        running = sorted(snapshot["invocations"].values(), key=lambda found: found["token"])
        return [{name: found[name] for name in names} for found in running]

    def look(self, snapshot: Snapshot) -> Step:
        """The snapshot as a step in which nothing happened: for its ``leaves``, ``tags``, ``meta``."""
        return Step(snapshot, self._read(snapshot), [], [], [], [])

    def matches(self, snapshot: Snapshot, state: str) -> bool:
        """Whether the state of a dotted path, or of ``#id``, is active."""
        found = self.chart.ids.get(state[1:]) if state.startswith("#") else self.chart.at(state)
        if found is None:
            raise SnapshotError(f"machine {self.id!r} has no state {state!r}")
        return found.index in self._read(snapshot).active

    def events(self, snapshot: Snapshot) -> list[str]:
        """The descriptors of the events that are waited for, guards apart, from the inside out."""
        states = self._read(snapshot).states if snapshot["status"] == ACTIVE else []
        found = dict.fromkeys(event for state in reversed(states) for event in state.on)
        return [event for event in found if not event.startswith("xstate.")]

    def _open(self, snapshot: Snapshot, at: float) -> Run:
        return Run(self._read(snapshot), snapshot, at)

    def _read(self, snapshot: Snapshot) -> Configuration:
        try:
            if snapshot["machine"] == self.hash:
                return self._configurations.read(snapshot["value"])
        except (KeyError, TypeError, ValueError) as error:
            snapshots.check(snapshot, self.hash, self.id)
            raise SnapshotError(f"the snapshot's value is not one of machine {self.id!r}: {error}") from error
        snapshots.check(snapshot, self.hash, self.id)
        raise SnapshotError("unreachable")

    def _guarded(self, before: Snapshot, run: Run, go: Callable[[], None]) -> Step:
        """Take a step; where it fails, the snapshot before is kept as it was."""
        if before["status"] != ACTIVE:
            return Step(before, run.configuration, [], [], [], [])
        try:
            go()
        except FlowError as error:
            return self._failed(before, snapshots.error_of(error), error)
        if run.status == "error":
            return self._failed(before, run.output, None)
        after = snapshots.write(run, self.hash)
        return Step(after, run.configuration, run.actions, run.entered, [*run.started.values()], run.stopped)

    def _failed(self, before: Snapshot, error: JSON, cause: Exception | None) -> Step:
        after = snapshots.failed(before, error)
        names = ("id", "src", "input", "token")
        stopped = [{name: found[name] for name in names} for found in before["invocations"].values()]
        return Step(after, self._configurations.read(before["value"]), [], [], [], stopped, cause)

    def _begin(self, run: Run) -> None:
        context = self._initial_context(run)
        if type(context) is not dict:
            raise ActionFailed("context", "the context", f"is {context!r}; it has to be an object")
        run.context = context
        self._stepper.start(run)

    def _take(self, run: Run, event: dict[str, JSON], at: float) -> None:
        if run.timers and run.timers[0]["at"] <= at:
            self._fire(run, at)
        if run.status == ACTIVE:
            self._stepper.take(run, event)

    def _end(self, run: Run, id: str, token: int | None, event: dict[str, JSON], at: float) -> None:
        self._fire(run, at)
        running = run.invocations.get(id)
        if run.status != ACTIVE or running is None or token not in (None, running["token"]):
            return
        run.invocations = {other: found for other, found in run.invocations.items() if other != id}
        if not self._stepper.take(run, event) and "error" in event:
            run.status, run.output = "error", event["error"]

    def _fire(self, run: Run, at: float) -> None:
        # Those pending already are no loop, however many are due at one instant.
        fired, most = 0, self.max_steps + len(run.timers)
        while run.status == ACTIVE and run.timers and run.timers[0]["at"] <= at:
            timer, *run.timers = run.timers
            fired = fired + 1 if timer["at"] == run.at else 0
            if fired > most:
                raise EndlessLoop(fired, [timer["id"], timer["id"]])
            run.at = timer["at"]
            self._stepper.take(run, fresh(timer["event"]))
        run.at = at
