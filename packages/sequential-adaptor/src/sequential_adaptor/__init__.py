"""Durable tasks for Python over storage you already have.

Everything public is importable from here and loaded on first use, so that ``import sequential_adaptor`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING

# Editable installs of the backends live in other folders than this one; without this line they are not found.
__path__ = extend_path(__path__, __name__)

_HOMES = {
    "register": "registry",
    "get": "registry",
    "list": "registry",
    "has": "registry",
    "create": "registry",
    "load_plugins": "registry",
    "registries": "registry",
    "create_adapter": "registry",
    "register_adapter": "registry",
    "get_registered_adapters": "registry",
    "with_adapter": "registry",
    "create_runner": "registry",
    "register_runner": "registry",
    "get_registered_runners": "registry",
    "StorageAdapter": "storage",
    "Claim": "storage",
    "Create": "storage",
    "Update": "storage",
    "Wake": "storage",
    "FolderAdapter": "backends.folder",
    "Runner": "runners",
    "Completed": "runners",
    "Suspended": "runners",
    "CallResults": "runners",
    "ServiceClient": "services",
    "Engine": "engine",
    "Worker": "engine",
    "TaskExecutor": "engine",
    "StackProcessor": "engine",
    "RunHandle": "engine",
    "Retention": "engine",
    "TaskRun": "records",
    "StackRun": "records",
    "TaskFunction": "records",
}
_ERRORS = (
    "SequentialError",
    "ConfigurationError",
    "RegistryError",
    "UnknownType",
    "UnknownName",
    "AlreadyRegistered",
    "PluginError",
    "InvalidValue",
    "InvalidId",
    "UnknownField",
    "IllegalTransition",
    "StorageError",
    "StorageClosed",
    "NotOffered",
    "StorageUnavailable",
    "StorageDamaged",
    "RecordNotFound",
    "RecordExists",
    "RunPruned",
    "ClaimLost",
    "Conflict",
    "TaskError",
    "TaskFailed",
    "TaskCancelled",
    "TaskBusy",
    "TaskFunctionNotFound",
    "CallNotFound",
    "CannotGoBack",
    "QueueNotFound",
    "ScheduleNotFound",
    "NonDeterminismError",
    "NotDurable",
    "CallFailed",
    "ServiceError",
)
_HOMES.update(dict.fromkeys(_ERRORS, "errors"))

__all__ = sorted([*_HOMES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]  # names come lazily


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("sequential-adaptor")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> Iterable[str]:
    return [*__all__]


if TYPE_CHECKING:
    from collections.abc import Iterable

    from sequential_adaptor.backends.folder import FolderAdapter as FolderAdapter
    from sequential_adaptor.engine import Engine as Engine
    from sequential_adaptor.engine import Retention as Retention
    from sequential_adaptor.engine import RunHandle as RunHandle
    from sequential_adaptor.engine import StackProcessor as StackProcessor
    from sequential_adaptor.engine import TaskExecutor as TaskExecutor
    from sequential_adaptor.engine import Worker as Worker
    from sequential_adaptor.errors import *  # noqa: F403 - the whole tree of errors is public
    from sequential_adaptor.records import StackRun as StackRun
    from sequential_adaptor.records import TaskFunction as TaskFunction
    from sequential_adaptor.records import TaskRun as TaskRun
    from sequential_adaptor.registry import create as create
    from sequential_adaptor.registry import create_adapter as create_adapter
    from sequential_adaptor.registry import create_runner as create_runner
    from sequential_adaptor.registry import get as get
    from sequential_adaptor.registry import get_registered_adapters as get_registered_adapters
    from sequential_adaptor.registry import get_registered_runners as get_registered_runners
    from sequential_adaptor.registry import has as has
    from sequential_adaptor.registry import list as list
    from sequential_adaptor.registry import load_plugins as load_plugins
    from sequential_adaptor.registry import register as register
    from sequential_adaptor.registry import register_adapter as register_adapter
    from sequential_adaptor.registry import register_runner as register_runner
    from sequential_adaptor.registry import registries as registries
    from sequential_adaptor.registry import with_adapter as with_adapter
    from sequential_adaptor.runners import CallResults as CallResults
    from sequential_adaptor.runners import Completed as Completed
    from sequential_adaptor.runners import Runner as Runner
    from sequential_adaptor.runners import Suspended as Suspended
    from sequential_adaptor.services import ServiceClient as ServiceClient
    from sequential_adaptor.storage import Claim as Claim
    from sequential_adaptor.storage import Create as Create
    from sequential_adaptor.storage import StorageAdapter as StorageAdapter
    from sequential_adaptor.storage import Update as Update
    from sequential_adaptor.storage import Wake as Wake
