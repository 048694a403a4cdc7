"""One step while it is being taken: what guards, actions and readers see, and what they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.flow.configurations import Configuration


class Run:
    """One step. Whatever came from the snapshot is replaced, never changed in place: the caller still holds it.

    ``queue`` holds raised events; ``changed``: the last microstep left other states, context or invocations behind;
    ``started`` are the invocations of this step by token, ``stopped`` those that it ended.
    """

    __slots__ = (
        "actions",
        "at",
        "changed",
        "configuration",
        "context",
        "entered",
        "event",
        "history",
        "input",
        "invocations",
        "output",
        "queue",
        "sequence",
        "started",
        "status",
        "stopped",
        "timers",
    )

    def __init__(self, configuration: Configuration, snapshot: dict[str, JSON], at: float) -> None:
        self.configuration = configuration
        self.at = at
        self.event: dict[str, JSON] = {}
        self.context: dict[str, JSON] = snapshot["context"]
        self.input: JSON = snapshot["input"]
        self.output: JSON = None
        self.status = "active"
        self.history: dict[str, list[str]] = snapshot["history"]
        self.timers: list[dict[str, JSON]] = snapshot["timers"]
        self.invocations: dict[str, dict[str, JSON]] = snapshot["invocations"]
        self.sequence: int = snapshot["sequence"]
        self.queue: list[dict[str, JSON]] = []
        self.changed = False
        self.actions: list[JSON] = []
        self.entered: list[str] = []
        self.started: dict[int, dict[str, JSON]] = {}
        self.stopped: list[dict[str, JSON]] = []

    def schedule(self, id: str, event: dict[str, JSON], milliseconds: float) -> None:
        """Set a timer: an absolute deadline, among the others in the order in which they are due."""
        # Rounded, so that six timers of 5 ms in a row end at 0.03 and not a bit later.
        due = round(self.at + milliseconds / 1000, 6)
        index = len(self.timers)
        while index and self.timers[index - 1]["at"] > due:
            index -= 1
        timer = {"id": id, "at": due, "event": event}
        self.timers = [*self.timers[:index], timer, *self.timers[index:]]

    def cancel(self, id: str) -> None:
        """Forget every timer of that id."""
        if self.timers:
            self.timers = [timer for timer in self.timers if timer["id"] != id]

    def invoke(self, id: str, src: str, state: str, input: JSON) -> None:
        """Note that an invocation starts once the step is stable. One of the same id that is running is stopped."""
        if id in self.invocations:
            self.stop(id, self.invocations[id]["state"])
        self.changed = True
        self.sequence += 1
        invocation = {"id": id, "src": src, "input": input, "token": self.sequence}
        self.started[self.sequence] = invocation
        self.invocations = {**self.invocations, id: {**invocation, "state": state}}

    def stop(self, id: str, state: str) -> None:
        """End the invocation that the state started, if it is still running."""
        running = self.invocations.get(id)
        if running is None or running["state"] != state:
            return
        self.changed = True
        self.invocations = {other: found for other, found in self.invocations.items() if other != id}
        if self.started.pop(running["token"], None) is None:
            self.stopped.append({name: running[name] for name in ("id", "src", "input", "token")})


Operation: TypeAlias = Callable[[Run], None]
Guard: TypeAlias = Callable[[Run], bool]
Reader: TypeAlias = Callable[[Run], JSON]
