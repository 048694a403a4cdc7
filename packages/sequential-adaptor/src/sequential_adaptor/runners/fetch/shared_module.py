"""What ``sys.modules`` holds for a version of task code: one name, behind which each session has a module of its own."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from weakref import WeakSet

from sequential_adaptor.task._host import current


class SharedModule(ModuleType):
    """Looks like the module of the task that runs in this thread, and like that of any live session elsewhere.

    Libraries ask ``sys.modules`` for the namespace of a class (dataclasses, typing, pydantic, pickle), in the middle of a turn.
    """

    def __init__(self, name: str, instances: WeakSet[ModuleType]) -> None:
        super().__init__(name, "A task's module; each session has its own.")
        self._instances = instances

    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__":
            module = _live(self.__name__, super().__getattribute__("_instances"))
            return super().__getattribute__(name) if module is None else module.__dict__
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        module = _live(self.__name__, self._instances)
        if module is None:
            raise AttributeError(f"no session of {self.__name__} is live")
        return getattr(module, name)


def _live(name: str, instances: WeakSet[ModuleType]) -> ModuleType | None:
    own = getattr(current.host, "own_modules", {}).get(name)
    return own if own is not None else next(iter(instances), None)
