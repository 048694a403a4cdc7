"""The two lifecycles, declared once in the form of the ``transitions`` library.

The engine's tables, the error for an illegal change and the diagrams in ``docs/`` all come from these declarations.
They are plain data: running tasks needs no import of ``transitions`` (:meth:`Lifecycle.machine` makes a real machine,
for diagrams and for the test that holds the tables against it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

from sequential_adaptor.errors import IllegalTransition

if TYPE_CHECKING:
    from transitions import Machine


class Transition(TypedDict):
    """One arrow, as ``transitions.Machine`` takes it."""

    trigger: str
    source: str | list[str]
    dest: str


@dataclass(frozen=True)
class Lifecycle:
    """The statuses of one kind of record, and the changes between them that there are."""

    kind: str
    states: Sequence[str]
    ended: frozenset[str]
    transitions: Sequence[Transition]

    @cached_property
    def open(self) -> list[str]:
        """The statuses of what has not ended."""
        return [state for state in self.states if state not in self.ended]

    @cached_property
    def table(self) -> Mapping[str, frozenset[str]]:
        """For each status, those that it can become."""
        targets: dict[str, set[str]] = {state: set() for state in self.states}
        for arrow in self.transitions:
            sources = [arrow["source"]] if isinstance(arrow["source"], str) else arrow["source"]
            for source in sources:
                targets[source].add(arrow["dest"])
        return {state: frozenset(found) for state, found in targets.items()}

    def check(self, id: str, source: str, target: str) -> None:
        """Raise :class:`IllegalTransition` unless ``source`` can become ``target``, or is that and has not ended."""
        if target in self.table[source] or (source == target and source not in self.ended):
            return
        raise IllegalTransition(self.kind, id, source, target, sorted(self.table[source]))

    def machine(self) -> Machine:
        """The same lifecycle as a real ``transitions.Machine``."""
        from transitions import Machine

        return Machine(
            states=list(self.states), transitions=list(self.transitions), initial="pending", auto_transitions=False
        )


TASK_RUN = Lifecycle(
    kind="task run",
    states=("pending", "running", "suspended", "completed", "failed", "cancelled"),
    ended=frozenset({"completed", "failed", "cancelled"}),
    transitions=(
        {"trigger": "start", "source": "pending", "dest": "running"},
        {"trigger": "suspend", "source": ["pending", "running"], "dest": "suspended"},
        {"trigger": "resume", "source": "suspended", "dest": "running"},
        {"trigger": "complete", "source": ["pending", "running", "suspended"], "dest": "completed"},
        {"trigger": "fail", "source": ["pending", "running", "suspended"], "dest": "failed"},
        {"trigger": "cancel", "source": ["pending", "running", "suspended"], "dest": "cancelled"},
        {"trigger": "retry", "source": ["failed", "cancelled"], "dest": "pending"},
    ),
)

STACK_RUN = Lifecycle(
    kind="stack run",
    states=("pending", "in_progress", "suspended_waiting_child", "completed", "failed", "cancelled"),
    ended=frozenset({"completed", "failed", "cancelled"}),
    transitions=(
        {"trigger": "start", "source": "pending", "dest": "in_progress"},
        {"trigger": "back_off", "source": "in_progress", "dest": "pending"},
        {"trigger": "wait", "source": ["pending", "in_progress"], "dest": "suspended_waiting_child"},
        {"trigger": "resume", "source": "suspended_waiting_child", "dest": "in_progress"},
        {
            "trigger": "complete",
            "source": ["pending", "in_progress", "suspended_waiting_child"],
            "dest": "completed",
        },
        {"trigger": "fail", "source": ["pending", "in_progress", "suspended_waiting_child"], "dest": "failed"},
        {"trigger": "cancel", "source": ["pending", "in_progress", "suspended_waiting_child"], "dest": "cancelled"},
        {"trigger": "retry", "source": ["failed", "cancelled"], "dest": "pending"},
        {"trigger": "go_back", "source": ["completed", "failed", "cancelled"], "dest": "in_progress"},
        {"trigger": "go_back", "source": ["failed", "cancelled"], "dest": "suspended_waiting_child"},
    ),
)
