"""Where a script stands between two of its commands, as JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.base import Call, Suspended
from sequential_adaptor.runners.container.layer import Layer
from sequential_adaptor.runners.container.scripts import Step
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Position:
    """The next step of a script, and the layer that it runs on (``None``: the empty folder)."""

    steps: tuple[Step, ...]
    index: int
    base: str | None

    @property
    def step(self) -> Step:
        """The next step."""
        return self.steps[self.index]

    def after(self, layer: Layer) -> Position | None:
        """The position after the next step has become a layer; ``None`` where it was the last."""
        if self.index + 1 == len(self.steps):
            return None
        return replace(self, index=self.index + 1, base=layer.hash)

    def as_json(self) -> JSON:
        """All that another process needs, beside the layers."""
        steps = [{"title": step.title, "command": step.command, "strict": step.strict} for step in self.steps]
        return {"steps": steps, "next": self.index, "layer": self.base}

    @staticmethod
    def of(state: JSON) -> Position:
        """The position that :meth:`as_json` wrote."""
        try:
            steps = tuple(Step(each["title"], each["command"], each["strict"]) for each in state["steps"])
            found = Position(steps, state["next"], state["layer"])
            assert 0 <= found.index < len(steps)
        except (TypeError, KeyError, AssertionError) as error:
            raise ConfigurationError("this is no state of a container runner") from error
        return found


def suspended(position: Position) -> Suspended:
    """The script between two commands: the one outstanding call is the next of them."""
    return Suspended(position.as_json(), (call_of(position),))


def call_of(position: Position) -> Call:
    """The next step as a call."""
    step = position.step
    input = {"command": step.command, "parent": position.base}
    return Call(position.index + 1, f"step:{step.title}", input)
