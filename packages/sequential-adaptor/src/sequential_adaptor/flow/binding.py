"""From names to what they do: the guards, actions, delays and functions of a chart, as operations on a run."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping

from sequential_adaptor.flow.actions import Actions
from sequential_adaptor.flow.chart import FINAL, After, Chart, Invoke, State
from sequential_adaptor.flow.expressions import fresh, reader
from sequential_adaptor.flow.guards import Function, Guards
from sequential_adaptor.flow.problems import Findings, at
from sequential_adaptor.flow.reading import listed
from sequential_adaptor.flow.running import Operation, Reader, Run
from sequential_adaptor.values import JSON


def bind(
    chart: Chart,
    findings: Findings,
    *,
    functions: Collection[str],
    guards: Mapping[str, Function],
    actions: Mapping[str, Function | None],
    delays: Mapping[str, float | Function],
) -> None:
    """Make the chart executable; a guard, delay or function that is named and not given is noted."""
    for kind, given in (("guard", guards), ("action", actions)):
        _check_functions(kind, given, findings)
    binder = _Binder(Guards(chart, guards, findings), Actions(actions, delays, findings), functions, findings)
    for state in chart.states:
        binder.state(state)


def _check_functions(kind: str, given: Mapping[str, object], findings: Findings) -> None:
    for name, function in given.items():
        if inspect.iscoroutinefunction(function):
            reason = f"{name!r} is async; a {kind} is a plain function, and what waits is invoked by a state"
            findings.problem(f"{kind}s.{name}", reason)
        elif function is not None and not callable(function):
            findings.problem(f"{kind}s.{name}", f"{function!r} is not callable")


class _Binder:
    def __init__(self, guards: Guards, actions: Actions, functions: Collection[str], findings: Findings) -> None:
        self.guards, self.actions, self.functions, self.findings = guards, actions, functions, findings

    def state(self, state: State) -> None:
        for transition in state.transitions:
            transition.guard = self.guards.guard(transition.guard_config, at(transition.path, "guard"))
            transition.operations = self.actions.all(transition.actions_config, at(transition.path, "actions"))
        config, where = state.config, state.where
        timers = [self._timer(after) for after in state.after]
        invokes = [self._invoke(state, invoke) for invoke in state.invokes]
        entry = self.actions.all(listed(config.get("entry")), at(where, "entry"))
        state.enter = (*entry, *(timer for timer in timers if timer is not None), *invokes)
        exits = self.actions.all(listed(config.get("exit")), at(where, "exit"))
        state.leave = (*exits, *_timers_off(state), *_invokes_off(state))
        state.start = self.actions.all(state.initial_actions, at(where, "initial", "actions"))
        if "output" in config and (state.kind == FINAL or state.parent is None):
            state.output = reader(config["output"], at(where, "output"), self.findings)

    def _timer(self, after: After) -> Operation | None:
        delay = self.actions.delay(after.delay, after.path)
        if delay is None:
            return None
        read, id = delay, after.event
        return lambda run: run.schedule(id, {"type": id}, read(run))

    def _invoke(self, state: State, invoke: Invoke) -> Operation:
        if invoke.src not in self.functions:
            path = invoke.path if invoke.short else at(invoke.path, "src")
            self.findings.unknown(path, "function", invoke.src, self.functions)
        if "input" in invoke.config:
            read = reader(invoke.config["input"], at(invoke.path, "input"), self.findings)
        else:
            read = handed_on if invoke.short else _nothing
        invoke.input = read
        return _start(invoke, state.path, read)


def handed_on(run: Run) -> JSON:
    """What a state of the short form gets: what the state before it gave, at first the flow's input, else the event."""
    event = run.event
    for key in ("output", "input", "error"):
        if event["type"].startswith("xstate.") and key in event:
            return fresh(event[key])
    return fresh(event)


def _nothing(run: Run) -> JSON:
    return None


def _start(invoke: Invoke, state: str, read: Reader) -> Operation:
    return lambda run: run.invoke(invoke.id, invoke.src, state, read(run))


def _timers_off(state: State) -> list[Operation]:
    def off(run: Run) -> None:
        for after in state.after:
            run.cancel(after.event)

    return [off] if state.after else []


def _invokes_off(state: State) -> list[Operation]:
    def off(run: Run) -> None:
        for invoke in state.invokes:
            run.stop(invoke.id, state.path)

    return [off] if state.invokes else []
