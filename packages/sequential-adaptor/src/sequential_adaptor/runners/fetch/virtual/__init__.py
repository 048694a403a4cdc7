"""Time and chance as a task's own modules see them: stand-ins for ``time``, ``datetime``, ``random`` and others.

A stand-in is its module with some names replaced. What is put in asks the frame that runs in this thread, and behaves
like the original where there is none, as in the function of a ``step``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

_STAND_INS = frozenset({"asyncio", "datetime", "os", "random", "secrets", "subprocess", "time", "uuid"})


def module(real: ModuleType) -> ModuleType:
    """The stand-in for a module, or the module itself where it has none."""
    return _stand_in(real) if real.__name__ in _STAND_INS else real


@cache
def _stand_in(real: ModuleType) -> ModuleType:
    made = ModuleType(real.__name__, real.__doc__)
    made.__dict__.update(real.__dict__)
    # A module may grow, as packages do when their submodules are imported.
    made.__dict__["__getattr__"] = lambda name: getattr(real, name)
    made.__dict__.update(import_module(f"{__name__}._{real.__name__}").replacements())
    return made
