"""Every error of the library, one tree.

    SequentialError
    ├── ConfigurationError (ValueError)        a setting, URL or argument that cannot be right
    ├── RegistryError
    │   ├── UnknownType (LookupError)          no such kind of plugin
    │   ├── UnknownName (LookupError)          nothing of that name is installed
    │   ├── AlreadyRegistered (ValueError)     the name is taken by another factory
    │   └── PluginError                        a plugin that is there, and does not work
    ├── InvalidValue (ValueError)              not JSON, with the path of the value
    ├── InvalidId (ValueError)                 an id or name that storage must not see
    ├── UnknownField (ValueError)              a record has no such field
    ├── IllegalTransition (ValueError)         a status change no lifecycle allows
    ├── StorageError
    │   ├── StorageClosed                      used after ``close()``
    │   ├── NotOffered                         something that this adapter does without
    │   ├── StorageUnavailable                 not reached, full, or the reply was lost: the same commit id may go again
    │   ├── StorageDamaged                     what is stored does not match its checksum
    │   ├── RecordNotFound (LookupError)
    │   ├── RecordExists (ValueError)          another record has that id
    │   ├── RunPruned (ValueError)             a run had that id, and was pruned
    │   ├── ClaimLost                          the lease ended, or somebody else holds it now
    │   └── Conflict                           an expectation of a commit failed
    └── TaskError
        ├── TaskFailed                         the run ended with an error of its own
        ├── TaskCancelled                      the run was cancelled
        ├── TaskBusy                           another worker holds the run
        ├── TaskFunctionNotFound (LookupError)
        ├── CallNotFound (LookupError)         the run has made no such call
        ├── CannotGoBack (ValueError)          the run cannot be forked or retried there
        ├── QueueNotFound (LookupError)
        ├── ScheduleNotFound (LookupError)
        ├── NonDeterminismError                a replayed call differs from the recorded one
        ├── NotDurable (RuntimeError)          the task did what no other process could go on from
        └── CallFailed                         an outside call ended with an error, raised at its line
            └── ServiceError                   a service answered with one, or could not be reached

An error builds its own message from the facts, keeps them as attributes, and has the driver's error as ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``name``, where one is alike at all."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(choices), n=1)), None)


class SequentialError(Exception):
    """The root: ``except SequentialError`` catches whatever this library raises by itself."""


class ConfigurationError(SequentialError, ValueError):
    """A setting, storage URL or argument that cannot be right."""


class RegistryError(SequentialError):
    """Something about plugins."""


class UnknownType(RegistryError, LookupError):
    """There is no such kind of plugin."""

    def __init__(self, type: str, types: Sequence[str]) -> None:
        self.type, self.types = type, tuple(types)
        super().__init__(f"no plugin type {type!r} (there are: {', '.join(types)})")


class UnknownName(RegistryError, LookupError):
    """Nothing of that name is installed; the message holds what is, and the line that installs it where it is known."""

    def __init__(self, type: str, name: str, names: Sequence[str], remedy: str | None = None) -> None:
        self.type, self.name, self.names, self.remedy = type, name, tuple(names), remedy
        message = f"no {type} {name!r} (installed: {', '.join(names) or 'none'})."
        near = nearest(name, names)
        if near is not None:
            message += f" Did you mean {near!r}?"
        if remedy is not None:
            message += f" Try: {remedy}"
        super().__init__(message)


class AlreadyRegistered(RegistryError, ValueError):
    """The name is taken by another factory."""

    def __init__(self, type: str, name: str) -> None:
        self.type, self.name = type, name
        super().__init__(f"{type} {name!r} is registered already with another factory; replace=True says it is meant")


class PluginError(RegistryError):
    """A plugin that is there, and does not work; ``__cause__`` says why."""


class InvalidValue(SequentialError, ValueError):
    """A value that JSON cannot hold, or not exactly; ``path`` says where, as in ``$.users[3].score``."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class InvalidId(SequentialError, ValueError):
    """An id or name that must not reach a path, a URL or SQL."""

    def __init__(self, kind: str, value: object, rule: str) -> None:
        self.kind, self.value, self.rule = kind, value, rule
        super().__init__(f"{kind} {_shown(value)} is not allowed: {rule}")


class UnknownField(SequentialError, ValueError):
    """A record has no such field."""

    def __init__(self, record: str, field: str, fields: Iterable[str]) -> None:
        self.record, self.field, self.fields = record, field, tuple(fields)
        near = nearest(field, self.fields)
        hint = f" Did you mean {near!r}?" if near is not None else ""
        super().__init__(f"{record} has no field {field!r} (fields: {', '.join(self.fields)}).{hint}")


class IllegalTransition(SequentialError, ValueError):
    """A status change that the lifecycle does not have."""

    def __init__(self, kind: str, id: str, source: str, target: str, allowed: Iterable[str]) -> None:
        self.kind, self.id, self.source, self.target, self.allowed = kind, id, source, target, tuple(allowed)
        choices = ", ".join(self.allowed) or "nothing: it has ended"
        super().__init__(f"{kind} {id} is {source} and cannot become {target} (it can become: {choices})")


class StorageError(SequentialError):
    """Storage could not do what was asked."""


class StorageClosed(StorageError):
    """Used after ``close()``."""

    def __init__(self, adapter: str) -> None:
        super().__init__(f"{adapter} is closed; open it again with create_adapter(...)")


class NotOffered(StorageError):
    """Something beyond the documented interface that this adapter does without."""

    def __init__(self, adapter: str, what: str) -> None:
        self.adapter, self.what = adapter, what
        super().__init__(f"{adapter} does not offer to {what}")


class StorageUnavailable(StorageError):
    """Storage could not be reached, has no room, or its reply was lost; repeating a commit with its ``id`` is safe."""


class StorageDamaged(StorageError):
    """What is stored does not match its checksum; nothing was skipped and nothing was changed."""


class RecordNotFound(StorageError, LookupError):
    """No record has that id."""

    def __init__(self, record: str, id: str) -> None:
        self.record, self.id = record, id
        super().__init__(f"no {record} {id!r}")


class RecordExists(StorageError, ValueError):
    """Another record, which is not identical, has that id."""

    def __init__(self, record: str, id: str, difference: str = "") -> None:
        self.record, self.id = record, id
        super().__init__(f"a different {record} {id!r} exists already{difference and f': {difference}'}")


class RunPruned(StorageError, ValueError):
    """A run had that id, and was pruned; ids that people choose are not used again by mistake."""

    def __init__(self, run_id: str, task: str, status: str, at: datetime | None) -> None:
        self.run_id, self.task, self.status, self.at = run_id, task, status, at
        when = f" on {at:%Y-%m-%d}" if at is not None else ""
        super().__init__(
            f"a run {run_id!r} of {task} was there, ended as {status}, and was pruned{when}. Choose another id; or let"
            f" this one be used again: sequential prune --forget {run_id}"
        )


class ClaimLost(StorageError):
    """The lease ended, or somebody else holds it now; nothing was written."""

    def __init__(self, stack_run_id: str, token: int) -> None:
        self.stack_run_id, self.token = stack_run_id, token
        super().__init__(f"the claim on {stack_run_id} with token {token} is no longer held; nothing was written")


class Conflict(StorageError):
    """An expectation of a commit failed; nothing was written."""

    def __init__(self, record: str, id: str, field: str, expected: object, found: object) -> None:
        self.record, self.id, self.field, self.expected, self.found = record, id, field, expected, found
        super().__init__(
            f"{record} {id}: {field} is {_shown(found)}, not {_shown(expected)} as expected; nothing was written"
        )


class TaskError(SequentialError):
    """Something about a task or its code."""


class TaskFailed(TaskError):
    """The run ended with an error; ``error`` is it as stored: ``{"type", "message", "traceback"?, "retryable"?}``."""

    def __init__(self, run_id: str, error: dict[str, Any] | None) -> None:
        self.run_id, self.error = run_id, error or {}
        kind, message = self.error.get("type", "Error"), self.error.get("message", "")
        super().__init__(f"run {run_id} failed: {kind}: {message}")

    @property
    def traceback(self) -> str | None:
        """The task's own lines that led to the error, as text."""
        return self.error.get("traceback")


class TaskCancelled(TaskError):
    """The run was cancelled."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"run {run_id} was cancelled")


class TaskBusy(TaskError):
    """Another worker holds the run, until ``until`` if it is heard of no more."""

    def __init__(self, run_id: str, worker: str | None, until: datetime | None) -> None:
        self.run_id, self.worker, self.until = run_id, worker, until
        lease = f", at least until {until:%H:%M:%S} UTC" if until is not None else ""
        super().__init__(
            f"run {run_id} is held by {worker or 'another worker'}{lease}; wait for it, or ask again later"
        )


class TaskFunctionNotFound(TaskError, LookupError):
    """No task function, or no such version of it, is stored."""

    def __init__(self, identifier: str, version: str | None = None, choices: Sequence[str] = ()) -> None:
        self.identifier, self.version = identifier, version
        which = f"version {version[:12]} of task function" if version else "task function"
        message = f"no {which} {identifier!r} is stored"
        near = nearest(identifier, choices)
        if near is not None and near != identifier:
            message += f"; did you mean {near!r}?"
        else:
            message += "."
        super().__init__(f"{message} Publish it: sequential publish FILE --name {identifier}")


class QueueNotFound(TaskError, LookupError):
    """There is no queue of that name."""

    def __init__(self, name: str, choices: Sequence[str] = ()) -> None:
        self.name = name
        super().__init__(
            f"no queue {name!r} (there are: {', '.join(choices) or 'none'}). Make it: sequential queue set {name}"
        )


class ScheduleNotFound(TaskError, LookupError):
    """There is no schedule of that name."""

    def __init__(self, name: str, choices: Sequence[str] = ()) -> None:
        self.name = name
        super().__init__(
            f"no schedule {name!r} (there are: {', '.join(choices) or 'none'})."
            f" Make it: sequential schedule add {name} TASK --cron '0 3 * * *'"
        )


class CallNotFound(TaskError, LookupError):
    """The run has made no such call; ``calls`` are those that it has made, as ``(number, operation)``."""

    def __init__(self, run_id: str, call: object, calls: Sequence[tuple[int, str]]) -> None:
        self.run_id, self.call, self.calls = run_id, call, tuple(calls)
        named = ", ".join(f"{number} ({operation})" for number, operation in self.calls[:20])
        more = f" and {len(self.calls) - 20:,} more" if len(self.calls) > 20 else ""
        known = f"its calls are: {named}{more}" if self.calls else "it has made none yet"
        super().__init__(f"run {run_id} has no call {call}; {known}")


class CannotGoBack(TaskError, ValueError):
    """A run cannot be forked or retried there; the message says why, and what can be done."""

    def __init__(self, run_id: str, reason: str) -> None:
        self.run_id, self.reason = run_id, reason
        super().__init__(f"run {run_id} {reason}")


class NonDeterminismError(TaskError):
    """A call differs on replay from the one that was recorded in its place."""


class NotDurable(TaskError, RuntimeError):
    """The task did what no other process could go on from."""


class CallFailed(TaskError):
    """An outside call ended with an error; raised inside the task at the line of the call.

    ``type`` and ``message`` are the original error's, ``retryable`` says whether it was tried again as often as it may.
    """

    def __init__(self, message: str, *, type: str = "CallFailed", operation: str = "", retryable: bool = False) -> None:
        self.message, self.type, self.operation, self.retryable = message, type, operation, retryable
        super().__init__(message)


class ServiceError(CallFailed):
    """A service answered with an error, or could not be reached; ``status_code`` where there was an answer."""

    def __init__(
        self,
        message: str,
        *,
        type: str = "ServiceError",
        operation: str = "",
        retryable: bool = False,
        status_code: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, type=type, operation=operation, retryable=retryable)
        self.status_code, self.retry_after = status_code, retry_after


def _shown(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
