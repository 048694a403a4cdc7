"""What stands at an arrow and in a box: events, delays, guards and actions in few words."""

from __future__ import annotations

from sequential_adaptor.flow.chart import State, Transition
from sequential_adaptor.values import JSON

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def label(transition: Transition) -> str:
    """``PAID [enough] / remember``."""
    words = [_event(transition)]
    if transition.guard_config is not None:
        words.append(f"[{_name(transition.guard_config)}]")
    if transition.actions_config:
        words.append(f"/ {', '.join(map(_name, transition.actions_config))}")
    return " ".join(word for word in words if word)


def own_lines(state: State) -> list[str]:
    """What a box says of itself: what it invokes, does on the way in and out, and takes without leaving."""
    lines = [f"does {invoke.src}" for invoke in state.invokes]
    for key, word in (("entry", "entry"), ("exit", "exit")):
        given = state.config.get(key)
        actions = given if isinstance(given, list) else [given] if given is not None else []
        if actions:
            lines.append(f"{word} / {', '.join(map(_name, actions))}")
    return [*lines, *(label(transition) for transition in state.transitions if _stays(transition))]


def duration(milliseconds: float) -> str:
    """``30 d``, ``1.5 s``, ``20 ms``."""
    for size, unit in _UNITS:
        if milliseconds >= size:
            return f"{round(milliseconds / size, 2):g} {unit}"
    return f"{milliseconds:g} ms"


def _stays(transition: Transition) -> bool:
    if transition.targets is None:
        return bool(transition.actions_config)
    return not transition.reenter and transition.targets == (transition.source,)


def _event(transition: Transition) -> str:
    event, source = transition.event, transition.source
    for after in source.after:
        if after.event == event:
            return f"after {after.delay if isinstance(after.delay, str) else duration(after.delay)}"
    if event == f"xstate.done.state.{source.id}":
        return "done"
    for invoke in source.invokes:
        if event in (f"xstate.done.actor.{invoke.id}", f"xstate.error.actor.{invoke.id}"):
            word = "done" if event.startswith("xstate.done") else "error"
            return word if len(source.invokes) == 1 else f"{word}: {invoke.src}"
    return event


def _name(config: JSON) -> str:
    return str(config.get("type", config)) if isinstance(config, dict) else str(config)
