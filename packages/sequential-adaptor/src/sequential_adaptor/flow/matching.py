"""Which arrows of a state an event can take: an exact descriptor first, then wildcards, the longest first."""

from __future__ import annotations

from sequential_adaptor.flow.chart import State, Transition


def candidates(state: State, event: str) -> tuple[Transition, ...]:
    """The transitions of ``state`` whose descriptor matches, in the order in which their guards are asked."""
    exact = state.on.get(event, [])
    wild = sorted((key for key in state.on if key != event and matches(key, event)), key=len, reverse=True)
    return (*exact, *(transition for key in wild for transition in state.on[key]))


def matches(descriptor: str, event: str) -> bool:
    """Whether a descriptor covers an event: ``*`` covers all, ``a.*`` covers ``a`` and ``a.b.c``, else only itself."""
    if descriptor == "*" or descriptor == event:
        return True
    if not descriptor.endswith(".*"):
        return False
    prefix = descriptor[:-2]
    return event == prefix or event.startswith(prefix + ".")
