"""Errors on their way into a task and out of it."""

from __future__ import annotations

import ast
import builtins
import os
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from types import TracebackType
from typing import Any

from sequential_adaptor import errors
from sequential_adaptor.errors import CallFailed, ServiceError, TaskCancelled, TaskFailed
from sequential_adaptor.outcomes import message_of, storable_text
from sequential_adaptor.values import JSON

Revive = Callable[[str, Mapping[str, JSON]], BaseException]
"""The exception to raise in the task, from the operation and the error as stored."""

_HERE = os.path.dirname(__file__)
_OURS = (_HERE, os.path.join(os.path.dirname(os.path.dirname(_HERE)), "task"))


def stored(error: BaseException, files: Collection[str], module_name: str) -> dict[str, JSON]:
    """The error that a task ended with: its type as the task knows it, and the task's own part of the traceback."""
    text = "".join(_own_traceback(error, files).format())
    return {
        "type": _type_name(error, module_name),
        "message": message_of(error),
        "traceback": storable_text(text.replace(f"{module_name}.", "")),
    }


def service_error(operation: str, error: Mapping[str, JSON]) -> BaseException:
    """The failure of a service or of ``fetch``."""
    return ServiceError(
        error.get("message", "the call failed"),
        type=error.get("type", "ServiceError"),
        operation=operation,
        retryable=bool(error.get("retryable")),
        status_code=error.get("status_code"),
    )


def call_error(operation: str, error: Mapping[str, JSON]) -> BaseException:
    """The failure of a call, whatever it was."""
    message, kind = error.get("message", "the call failed"), error.get("type", "CallFailed")
    return CallFailed(message, type=kind, operation=operation, retryable=bool(error.get("retryable")))


def child_error(operation: str, error: Mapping[str, JSON]) -> BaseException:
    """How a child task ended that did not complete."""
    run_id = error.get("run", "")
    if error.get("type") in ("TaskCancelled", "CancelledError"):
        return TaskCancelled(run_id)
    if not run_id:  # it never began: there is no such task, or its id is taken
        return call_error(operation, error)
    return TaskFailed(run_id, error.get("cause") or dict(error))


def step_error(own_modules: Mapping[str, Any]) -> Revive:
    """What a step's function raised, as the type it was where that can be found again."""

    def revive(operation: str, error: Mapping[str, JSON]) -> BaseException:
        kind = _find(error.get("type", ""), own_modules)
        message = error.get("message", "")
        try:
            made = _made(kind, message) if kind is not None else None
        except Exception:  # its constructor wants other arguments, or does whatever else
            made = None
        return made if isinstance(made, Exception) else call_error(operation, error)

    return revive


def _find(name: str, own_modules: Mapping[str, Any]) -> type[Exception] | None:
    module_name, _, qualname = name.rpartition(".")
    home = own_modules.get(module_name)
    if home is None and module_name:
        home = sys.modules.get(module_name) or _imported(module_name)
    for place in (home,) if module_name else (builtins, errors):
        found = getattr(place, qualname, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return None


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except Exception:  # not there in this process: the error is shown by its name
        return None


def _made(kind: type[Exception], message: str) -> Any:
    """An error that says what the one that was raised said."""
    made = kind(_argument(kind, message))
    if message_of(made) != message:  # its constructor makes a sentence of what it gets, and has done so twice
        made.args = (message,)
    if message_of(made) != message:  # `__str__` does that: whoever catches its type is to have it all the same
        fields = {"__str__": lambda error: message, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
        meta: Any = type(kind)
        plain = meta(kind.__name__, (kind,), fields)
        made = plain(message)
    return made


def _argument(kind: type[Exception], message: str) -> Any:
    if not issubclass(kind, KeyError):
        return message
    try:  # a KeyError's text is the repr of its key
        return ast.literal_eval(message)
    except (SyntaxError, ValueError):
        return message


def _type_name(error: BaseException, module_name: str) -> str:
    if isinstance(error, CallFailed):
        return error.type
    kind = type(error)
    home = kind.__module__
    if home in ("builtins", errors.__name__) or home == module_name or home.startswith(f"{module_name}."):
        return kind.__qualname__
    return f"{home}.{kind.__qualname__}"


def _own_traceback(error: BaseException, files: Collection[str]) -> traceback.TracebackException:
    found = traceback.TracebackException(type(error), error, _from_own_line(error.__traceback__, files), compact=True)
    _drop_machinery(found, files)
    return found


def _from_own_line(tb: TracebackType | None, files: Collection[str]) -> TracebackType | None:
    at = tb
    while at is not None and at.tb_frame.f_code.co_filename not in files:
        at = at.tb_next
    return at or tb


def _drop_machinery(found: traceback.TracebackException | None, files: Collection[str]) -> None:
    """Leave the task's own lines, and those of the libraries that it called."""
    if found is None:
        return
    kept = [line for line in found.stack if line.filename in files or not line.filename.startswith(_OURS)]
    own = next((index for index, line in enumerate(kept) if line.filename in files), 0)
    found.stack[:] = kept[own:]
    _drop_machinery(found.__cause__, files)
    _drop_machinery(found.__context__, files)
    for inner in found.exceptions or ():
        _drop_machinery(inner, files)
