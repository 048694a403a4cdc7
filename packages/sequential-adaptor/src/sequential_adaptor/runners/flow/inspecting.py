"""Flows without running them: what is in a file or in a stored task function, and how a run of it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sequential_adaptor import values
from sequential_adaptor.engine.publishing import source_of
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.flow.drawing import Marks
from sequential_adaptor.records import TaskFunction
from sequential_adaptor.runners.fetch.importing import OwnModules
from sequential_adaptor.runners.fetch.program import in_use
from sequential_adaptor.runners.flow.module import FlowModule
from sequential_adaptor.runners.flow.watching import FlowView
from sequential_adaptor.values import JSON


def flow_in(function: TaskFunction) -> FlowModule:
    """The flow of a task function, checked as it is when it runs. The module's body is executed."""
    metadata = function.metadata if isinstance(function.metadata, dict) else {}
    with in_use(function) as program:
        return FlowModule.read(program, OwnModules(program, _unheard), metadata.get("entry"))


def flow_of_file(path: Path) -> FlowModule:
    """The flow of a Python file and of the modules beside it that it imports."""
    source = source_of(path)
    return flow_in(TaskFunction(identifier=path.stem, code=source.code, modules=source.modules or None))


def machine_of_file(path: Path) -> Mapping[str, JSON]:
    """The machine of a JSON file."""
    try:
        found = values.decode_foreign(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} holds no machine, as it is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds no machine: a machine is a JSON object")
    return found


def marks_of(view: FlowView) -> Marks:
    """What a run has visited, with times; where it stands, or where it failed."""
    active = {path for leaf in view.leaves for path in _with_ancestors(leaf)}
    status = view.snapshot["status"] if view.snapshot is not None else "active"
    failed = status == "error" or view.status in ("failed", "cancelled")
    return Marks(
        visited=view.visits.keys(),
        current=active if status == "active" and not failed else (),
        failed=active if failed else (),
        notes={path: _note(visit) for path, visit in view.visits.items()},
    )


def _with_ancestors(path: str) -> list[str]:
    keys = path.split(".")
    return [".".join(keys[: count + 1]) for count in range(len(keys))]


def _note(visit: Mapping[str, JSON]) -> str:
    time = datetime.fromisoformat(visit["last"]).strftime("%Y-%m-%d %H:%M:%S")
    return time if visit["count"] == 1 else f"{visit['count']} times, last {time}"


def _unheard(text: str) -> None:
    """What a module prints while it is only looked at."""
