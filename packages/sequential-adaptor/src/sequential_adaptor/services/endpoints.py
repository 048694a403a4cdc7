"""What stands behind an alias: the name of an HTTP endpoint, or Python."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.errors import ConfigurationError, InvalidId, ServiceError
from sequential_adaptor.values import JSON

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_RULE = "1 to 64 characters, A-Z a-z 0-9 _ - only, and a letter or digit first; it is a name, never a path"


def check_service_name(kind: str, value: object) -> str:
    """An alias or the name of an endpoint, or :class:`InvalidId`."""
    if type(value) is not str or _NAME.fullmatch(value) is None:
        raise InvalidId(kind, value, _RULE)
    return value


def check_endpoint(alias: str, endpoint: object) -> object:
    """What may be registered: a name, a callable, or an object with methods."""
    if isinstance(endpoint, str):
        return check_service_name("endpoint", endpoint)
    if endpoint is None or isinstance(endpoint, (type, bytes, int, float, list, dict, tuple)):
        kind = f"the class {endpoint.__name__}" if isinstance(endpoint, type) else repr(endpoint)
        raise ConfigurationError(
            f"service {alias!r} is {kind}; it must be the name of an endpoint, a function, or an object with methods"
        )
    return endpoint


async def call_python(
    endpoint: object, method: str, params: JSON, idempotency_key: str | None, executor: Executor
) -> JSON:
    """Call a Python service, async or (in a thread of ``executor``) sync; its answer is checked and copied.

    - A callable gets ``(method, params)``.
    - Any other object has its method looked up along the dots, and called with ``*params`` (a list), ``**params`` (an
      object), nothing (``None``) or ``params``. Names that begin with an underscore are not looked up.
    - Whichever it is gets ``idempotency_key`` too where it has a parameter of that name.
    """
    function = _bound(endpoint, method, values.copy(params))
    if idempotency_key is not None and "idempotency_key" in _parameters(function.func):
        function = partial(function, idempotency_key=idempotency_key)
    if _is_async(function.func):
        answer = await function()
    else:
        context = copy_context()
        answer = await asyncio.get_running_loop().run_in_executor(executor, lambda: context.run(_plain_call, function))
    if inspect.isawaitable(answer):
        answer = await answer
    return values.copy(answer)


def _bound(endpoint: object, method: str, params: JSON) -> partial[Any]:
    if callable(endpoint):
        return partial(endpoint, method, params)
    function = _find(endpoint, method)
    if isinstance(params, list):
        return partial(function, *params)
    if isinstance(params, dict):
        return partial(function, **params)
    return partial(function) if params is None else partial(function, params)


def _find(endpoint: object, method: str) -> Callable[..., Any]:
    found: Any = endpoint
    for name in method.split("."):
        found = None if name.startswith("_") else getattr(found, name, None)
    if not callable(found):
        names = sorted(name for name in dir(endpoint) if not name.startswith("_"))
        raise ServiceError(
            f"{type(endpoint).__name__} has no method {method!r} (it has: {', '.join(names) or 'none'})",
            type="AttributeError",
        )
    return found  # type: ignore[no-any-return]  # `callable` cannot say what it returns


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _parameters(function: Callable[..., Any]) -> Collection[str]:
    code = getattr(function, "__code__", None)
    if code is not None and not hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return names
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some builtins have no signature
        return frozenset()


def _plain_call(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except (StopIteration, GeneratorExit, KeyboardInterrupt) as error:
        # No future can hold the first: it would be lost, and the call with it. The others would stop us, and not it.
        raise RuntimeError(f"the service raised {type(error).__name__}: {error}") from error
