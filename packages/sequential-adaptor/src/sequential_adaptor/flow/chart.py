"""A statechart in memory: states in document order, transitions with their targets, invocations, timers.

States are numbered in document order (a state before its children), so the states below one are the numbers between its
``index`` and its ``end``: "is a descendant of" is two comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sequential_adaptor.flow.running import Guard, Operation, Reader
from sequential_adaptor.values import JSON

ATOMIC, COMPOUND, PARALLEL, FINAL, HISTORY = KINDS = ("atomic", "compound", "parallel", "final", "history")


@dataclass(eq=False, slots=True)
class Transition:
    """One arrow. ``targets`` is ``None`` where it stays; ``event`` is the descriptor, ``""`` for an eventless one."""

    source: State
    event: str
    path: str
    names: tuple[str, ...] | None
    guard_config: JSON
    actions_config: list[JSON]
    reenter: bool
    description: str | None = None
    targets: tuple[State, ...] | None = None
    guard: Guard | None = None
    operations: tuple[Operation, ...] = ()


@dataclass(eq=False, slots=True)
class Invoke:
    """What a state has going while it is active. ``config`` is as written, for what a runner adds (retry, timeout)."""

    id: str
    src: str
    path: str
    config: dict[str, JSON]
    short: bool = False
    input: Reader | None = None


@dataclass(eq=False, slots=True)
class After:
    """A timer of a state: ``delay`` is milliseconds, or the name of a delay."""

    delay: float | str
    event: str
    path: str


@dataclass(eq=False, slots=True)
class State:
    """One state. ``path`` is dotted and ``""`` for the root; ``where`` is its place in the machine as written."""

    key: str
    path: str
    where: str
    id: str
    kind: str
    index: int
    parent: State | None
    config: dict[str, JSON]
    end: int = 0
    states: dict[str, State] = field(default_factory=dict[str, "State"])
    initial: State | None = None
    initial_actions: list[JSON] = field(default_factory=list[JSON])
    history_targets: tuple[State, ...] = ()
    on: dict[str, list[Transition]] = field(default_factory=dict[str, list[Transition]])
    always: list[Transition] = field(default_factory=list[Transition])
    after: list[After] = field(default_factory=list[After])
    invokes: list[Invoke] = field(default_factory=list[Invoke])
    output: Reader | None = None
    enter: tuple[Operation, ...] = ()
    leave: tuple[Operation, ...] = ()
    start: tuple[Operation, ...] = ()

    @property
    def regions(self) -> list[State]:
        """The children that can be active: all but history states."""
        return [state for state in self.states.values() if state.kind != HISTORY]

    @property
    def deep(self) -> bool:
        """Whether a history state remembers all the way down."""
        return self.config.get("history") == "deep"

    @property
    def tags(self) -> list[str]:
        """The state's tags, as a list however they are written."""
        tags = self.config.get("tags") or []
        return [tags] if isinstance(tags, str) else tags

    @property
    def transitions(self) -> Iterator[Transition]:
        """Every transition that begins here, in the order in which they are written."""
        for found in self.on.values():
            yield from found
        yield from self.always

    def contains(self, other: State) -> bool:
        """Whether ``other`` is a proper descendant."""
        return self.index < other.index < self.end

    def ancestors(self) -> Iterator[State]:
        """The parent, its parent, and so on to the root."""
        state = self.parent
        while state is not None:
            yield state
            state = state.parent


@dataclass(eq=False, slots=True)
class Chart:
    """A whole machine: ``states`` in document order, the first of them the root."""

    name: str
    config: dict[str, JSON]
    states: list[State]
    ids: dict[str, State]

    @property
    def root(self) -> State:
        """The machine itself, as a state."""
        return self.states[0]

    def at(self, path: str) -> State | None:
        """The state of a dotted path, if there is one."""
        return find(self.root, path)


def find(state: State, path: str) -> State | None:
    """The state that a dotted path leads to from ``state``; ``""`` is the state itself."""
    found: State | None = state
    for key in path.split(".") if path else ():
        found = found.states.get(key) if found is not None else None
    return found
