"""From the code of a task to the coroutine that runs it: which function is called, and with what."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from sequential_adaptor.errors import TaskError
from sequential_adaptor.runners.fetch.importing import OwnModules
from sequential_adaptor.runners.fetch.program import RESULT, Program
from sequential_adaptor.values import JSON


async def run_program(program: Program, modules: OwnModules, input: JSON, name: str | None) -> Any:
    """Run the module's body, and then its entry, ``name`` if one was given; the result is whatever that gives."""
    module = modules.new(program.main)
    if program.awaits_at_top_level:
        module.__dict__["input"] = input
        await eval(program.main.code, module.__dict__)
    else:
        exec(program.main.code, module.__dict__)
    entry = find_entry(program, module, name)
    if entry is None:
        return module.__dict__.get(RESULT)
    args, kwargs = arguments(entry, input)
    result = entry(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def find_entry(program: Program, module: ModuleType, name: str | None) -> Callable[..., Any] | None:
    """The function named when publishing, else ``main``, else the one public async function; ``None`` for a script."""
    found = module.__dict__.get(name or "main")
    if callable(found):
        return found  # type: ignore[no-any-return]  # the namespace holds anything
    functions = program.async_functions
    if name is not None:
        raise TaskError(f"the entry {name!r} is no function of the task; it defines {', '.join(functions) or 'none'}")
    if program.awaits_at_top_level:
        return None
    if len(functions) == 1:
        only: Callable[..., Any] = module.__dict__[functions[0]]
        return only
    what = f"the async functions {', '.join(functions)}" if functions else "no public async function"
    raise TaskError(
        f"the task has no entry: it defines {what}. Name one when publishing, call one `main`, "
        "or use `await` outside of functions"
    )


def arguments(function: Callable[..., Any], input: JSON) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """How a function gets the input.

    A function without parameters gets nothing; the only parameter gets the input. Several get the items of an object
    by their names; where those don't fit, or the input is no object, it goes to the first one, the others having
    defaults.
    """
    if _is_plain(function):
        return (input,), {}
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not parameters:
        return (), {}
    if len(parameters) == 1 and parameters[0].kind is not inspect.Parameter.VAR_KEYWORD:
        by_name = parameters[0].kind is inspect.Parameter.KEYWORD_ONLY
        return ((), {parameters[0].name: input}) if by_name else ((input,), {})
    if isinstance(input, dict) and _binds(signature, (), input):
        return (), input
    if _binds(signature, (input,), {}):
        return (input,), {}
    raise TaskError(f"the input does not fit {function.__name__}{signature}: give an object with these names")


def _is_plain(function: Callable[..., Any]) -> bool:
    """Whether it is what most are, a function with one parameter; to ask for its signature takes far longer."""
    if not isinstance(function, FunctionType) or function.__dict__:
        return False
    code = function.__code__
    special = code.co_kwonlyargcount or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    return code.co_argcount == 1 and not special


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
