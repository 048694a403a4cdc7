"""A whole step: one event after the other until nothing more moves by itself."""

from __future__ import annotations

from itertools import takewhile

from sequential_adaptor.flow.chart import Chart, Transition
from sequential_adaptor.flow.configurations import LIMIT, Configuration, Configurations
from sequential_adaptor.flow.errors import EndlessLoop
from sequential_adaptor.flow.expressions import fresh
from sequential_adaptor.flow.plans import Plan, plan
from sequential_adaptor.flow.running import Run
from sequential_adaptor.values import JSON


class Stepper:
    """Takes the steps of one chart. ``max_steps`` bounds what follows from one event."""

    def __init__(self, chart: Chart, max_steps: int) -> None:
        self.chart, self.max_steps = chart, max_steps
        self.configurations = Configurations(chart)
        root = chart.root
        self._first = Transition(root, "", "", None, None, [], reenter=True, targets=(root,))

    def start(self, run: Run) -> None:
        """Enter the machine, and go on to rest."""
        self._carry_out(plan(self.chart, [], [self._first], {}), run)
        self._settle(run)

    def take(self, run: Run, event: dict[str, JSON]) -> bool:
        """Take one event from outside, and go on to rest; whether anything was enabled by it."""
        run.event = event
        enabled = run.configuration.select(run)
        if enabled:
            self._step(enabled, run)
        if run.configuration.eventless or run.queue:
            self._settle(run)
        return bool(enabled)

    def _settle(self, run: Run) -> None:
        select_eventless, trail = True, _Trail(self.max_steps)
        while run.status == "active":
            enabled = run.configuration.select_eventless(run) if select_eventless else []
            if enabled:
                run.changed = False
                self._step(enabled, run)
                select_eventless = run.changed
            elif run.queue:
                run.event = run.queue.pop(0)
                enabled = run.configuration.select(run)
                if enabled:
                    self._step(enabled, run)
                select_eventless = True
            else:
                return
            trail.add(run.configuration)

    def _step(self, enabled: list[Transition], run: Run) -> None:
        plans = run.configuration.plans
        key = enabled[0] if len(enabled) == 1 else tuple(enabled)
        found = plans.get(key)
        if found is None:
            found = plan(self.chart, run.configuration.states, enabled, run.history)
            if found.lasting:
                if len(plans) >= LIMIT:
                    plans.clear()
                plans[key] = found
        self._carry_out(found, run)

    def _carry_out(self, found: Plan, run: Run) -> None:
        for operation in found.operations:
            operation(run)
        run.entered += found.entered
        if found.moved:
            run.configuration = self.configurations.of(found.states)
            run.changed = True
        if found.remembered:
            run.history = {**run.history, **fresh(found.remembered)}
            run.changed = True
        if found.done:
            run.changed = True


class _Trail:
    """The configurations that a step went through, of which only the last are of interest."""

    def __init__(self, limit: int) -> None:
        self.limit, self.count = limit, 0
        self.names: list[str] = []

    def add(self, configuration: Configuration) -> None:
        self.count += 1
        if self.count > self.limit - 200:
            self.names.append(" + ".join(configuration.leaves) or "machine")
        if self.count >= self.limit:
            raise EndlessLoop(self.count, self._loop())

    def _loop(self) -> list[str]:
        *before, last = self.names
        return [last, *reversed(list(takewhile(lambda name: name != last, reversed(before)))), last]
