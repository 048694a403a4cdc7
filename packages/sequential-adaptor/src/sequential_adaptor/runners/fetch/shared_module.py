"""What ``sys.modules`` holds for a version of task code: a name behind which each session has a module of its own."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any
from weakref import WeakSet

from sequential_adaptor.task._host import current


class SharedModule(ModuleType):
    """Looks like the module of the task that runs in this thread, and like that of any live session elsewhere.

    Libraries ask ``sys.modules`` for the namespace of a class (dataclasses, typing, pydantic, pickle), in the middle
    of a turn.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "A task's module; each session has its own.")
        self.instances: WeakSet[ModuleType] = WeakSet()
        self.users = 0

    @classmethod
    def published(cls, name: str) -> SharedModule:
        """The one of that name in ``sys.modules``; the same code may be stored under several identifiers."""
        found = sys.modules.get(name)
        shared = found if isinstance(found, cls) else cls(name)
        shared.users += 1
        sys.modules[name] = shared
        return shared

    def withdraw(self) -> None:
        """One program less has it."""
        self.users -= 1
        if self.users == 0:
            sys.modules.pop(self.__name__, None)

    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__":
            module = _live(self.__name__, super().__getattribute__("instances"))
            return super().__getattribute__(name) if module is None else module.__dict__
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        module = _live(self.__name__, self.instances)
        if module is None:
            raise AttributeError(f"no session of {self.__name__} is live")
        return getattr(module, name)


def _live(name: str, instances: WeakSet[ModuleType]) -> ModuleType | None:
    own = getattr(current.host, "own_modules", {}).get(name)
    return own if own is not None else next(iter(instances), None)
