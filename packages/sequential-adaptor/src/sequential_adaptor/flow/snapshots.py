"""Snapshots: a flow as one JSON value, from which any process goes on.

- ``status`` is ``active``, ``done`` or ``error``; ``value`` the state value as XState writes it.
- ``context`` is the flow's data, ``input`` what it was started with.
- ``output`` is set when done; ``error`` when not: ``{"type", "message", "where"?}``.
- ``history`` holds the paths that history states remember; ``timers`` the pending ones, earliest first, each with its
  absolute deadline in seconds as ``at``, its ``id`` and ``event``.
- ``invocations`` are those running, by id, ``{"id", "src", "input", "token", "state"}``; ``sequence`` the last token.
- ``machine`` is the hash of the machine that made it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.flow.configurations import Configuration
from sequential_adaptor.flow.errors import ActionFailed, SnapshotError
from sequential_adaptor.flow.running import Run
from sequential_adaptor.outcomes import message_of
from sequential_adaptor.values import JSON

ACTIVE, DONE, ERROR = "active", "done", "error"
_STATE = ("status", "value", "context", "input", "output", "error")
_PENDING = ("history", "timers", "invocations", "sequence")
_FIELDS = frozenset((*_STATE, *_PENDING, "machine"))


class Step:
    """What one call did. ``snapshot`` is a value: it is yours, and no later call changes it.

    - ``actions``: those executed, in order: a name, or ``{"type", "params"}`` for one that has parameters.
    - ``entered``: the paths of the states entered, in order, those too that were left again at once.
    - ``invokes``: ``{"id", "src", "input", "token"}`` of what started when the step became stable, in order.
    - ``stopped``: the same of what was running before and has no meaning any more.
    - ``cause``: the exception, when this step set the status to ``error``.
    """

    __slots__ = ("_configuration", "actions", "cause", "entered", "invokes", "snapshot", "stopped")

    def __init__(
        self,
        snapshot: dict[str, JSON],
        configuration: Configuration,
        actions: list[JSON],
        entered: list[str],
        invokes: list[dict[str, JSON]],
        stopped: list[dict[str, JSON]],
        cause: Exception | None = None,
    ) -> None:
        self.snapshot, self.actions, self.entered = snapshot, actions, entered
        self.invokes, self.stopped = invokes, stopped
        self.cause = cause
        self._configuration = configuration

    @property
    def status(self) -> str:
        """``active``, ``done`` or ``error``."""
        return str(self.snapshot["status"])

    @property
    def leaves(self) -> list[str]:
        """The sorted dotted paths of the active states without children."""
        return [*self._configuration.leaves]

    @property
    def tags(self) -> list[str]:
        """The sorted tags of all active states."""
        return sorted({tag for state in self._configuration.states for tag in state.tags})

    @property
    def meta(self) -> dict[str, JSON]:
        """The ``meta`` of each active state that has one, by path (``""`` is the machine)."""
        return {state.path: state.config["meta"] for state in self._configuration.states if "meta" in state.config}

    @property
    def descriptions(self) -> dict[str, str]:
        """The ``description`` of each active state that has one, by path (``""`` is the machine)."""
        found = {state.path: state.config.get("description") for state in self._configuration.states}
        return {path: text for path, text in found.items() if isinstance(text, str)}

    def __repr__(self) -> str:
        return f"Step({self.status}, {', '.join(self._configuration.leaves)})"


def hash_of(config: dict[str, JSON]) -> str:
    """What tells one machine from another: the sha256 of its JSON, key order included, since it is document order."""
    return hashlib.sha256(values.encode(config).encode("utf-8")).hexdigest()


def empty(context: JSON, input: JSON) -> dict[str, Any]:
    """What a run has before it begins."""
    return {"context": context, "input": input, "history": {}, "timers": [], "invocations": {}, "sequence": 0}


def write(run: Run, machine: str) -> dict[str, JSON]:
    """The snapshot that a run has come to."""
    ended = run.status != ACTIVE
    return {
        "status": run.status,
        "value": run.configuration.value,
        "context": run.context,
        "input": run.input,
        "output": run.output,
        "error": None,
        "history": run.history,
        "timers": [] if ended else run.timers,
        "invocations": {} if ended else run.invocations,
        "sequence": run.sequence,
        "machine": machine,
    }


def failed(before: dict[str, JSON], error: JSON) -> dict[str, JSON]:
    """The snapshot before, as it was, with nothing pending and the error."""
    return {**before, "status": ERROR, "error": error, "timers": [], "invocations": {}}


def error_of(error: Exception) -> dict[str, JSON]:
    """An exception as JSON: what a guard or action raised, with its place, where there is one."""
    cause = error.__cause__ if isinstance(error, ActionFailed) and error.__cause__ is not None else error
    found: dict[str, JSON] = {"type": type(cause).__name__, "message": message_of(cause)}
    if isinstance(error, ActionFailed):
        found["where"] = error.where
    return found


def error_value(error: object) -> dict[str, JSON]:
    """The error of a rejected invocation, however it is given, with ``message``."""
    if isinstance(error, BaseException):
        return {"type": type(error).__name__, "message": message_of(error)}
    if isinstance(error, dict):
        return {**error, "message": error.get("message", "")}
    return {"type": "Error", "message": error if isinstance(error, str) else values.encode(error)}


def check(snapshot: JSON, machine: str, name: str) -> None:
    """Say what is wrong with a snapshot that could not be read, as :class:`SnapshotError`."""
    if not isinstance(snapshot, dict) or not snapshot.keys() >= _FIELDS:
        missing = sorted(_FIELDS - snapshot.keys()) if isinstance(snapshot, dict) else "all of them"
        raise SnapshotError(f"this is no snapshot of a flow; missing: {missing}")
    if snapshot["machine"] != machine:
        raise SnapshotError(
            f"the snapshot was made by another version of machine {name!r} "
            f"({snapshot['machine']!s:.12}, this one is {machine:.12}); go on with the version that made it"
        )
