"""A flow's module: the graph, and by their names the functions, guards, actions and delays that the graph uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from sequential_adaptor import task
from sequential_adaptor.errors import TaskError
from sequential_adaptor.flow import Machine, MachineError
from sequential_adaptor.flow.problems import Findings
from sequential_adaptor.runners.fetch.importing import OwnModules
from sequential_adaptor.runners.fetch.program import Program
from sequential_adaptor.runners.flow.policies import Policy, policies

CHILD_TASK = "task:"
"""``src: "task:shipping"`` runs the task ``shipping`` as a child."""

Namespace = Mapping[str, Any]


@dataclass(frozen=True)
class FlowModule:
    """A machine with what it invokes. ``policies`` are by the state of the invocation and its id."""

    machine: Machine
    namespace: Namespace
    policies: Mapping[tuple[str, str], Policy]

    @classmethod
    def read(cls, program: Program, modules: OwnModules, name: str | None) -> FlowModule:
        """Run a module's body and load its ``graph``, or the one of that name."""
        module = modules.new(program.main)
        if program.awaits_at_top_level:
            raise TaskError("the module of a flow awaits nothing by itself; functions of states do")
        exec(program.main.code, module.__dict__)
        return flow_of(module.__dict__, name or "graph")

    def child(self, name: str) -> FlowModule | None:
        """The flow of another graph in the same module, which an invocation names as its ``src``."""
        return flow_of(self.namespace, name) if is_graph(self.namespace.get(name)) else None

    def function(self, name: str) -> Callable[..., Any]:
        """The function that an invocation names as its ``src``."""
        found: Callable[..., Any] = self.namespace[name]
        return found


def flow_of(namespace: Namespace, name: str) -> FlowModule:
    """The flow whose graph is called ``name``; :class:`TaskError` or ``MachineError`` where there is none."""
    graph = namespace.get(name)
    if not is_graph(graph):
        raise TaskError(f"a flow is a module with a machine as `{name} = {{'initial': ..., 'states': {{...}}}}`")
    machine = load(graph, namespace)
    findings = Findings()
    found = policies(machine.chart, findings)
    if findings.problems:
        raise MachineError(machine.id, findings.problems)
    return FlowModule(machine, namespace, found)


def load(graph: Mapping[str, Any], namespace: Namespace) -> Machine:
    """The machine with whatever of the module it names.

    ``guards``, ``actions`` and ``delays`` may be given together as mappings of these names; else each is found by its
    own name. Only those that the graph names are looked up, so that nothing else in the module is in the way.
    """
    plain = {name: value for name, value in namespace.items() if inspect.isfunction(value) and not _is_async(value)}
    return Machine.load(
        graph,
        functions=_Functions(namespace),
        guards={**_named_in(graph, plain), **_mapping(namespace, "guards")},
        actions={**_named_in(graph, plain), **_mapping(namespace, "actions")},
        delays={**_named_in(graph, _delays(namespace, plain)), **_mapping(namespace, "delays")},
    )


def is_graph(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value of a module is a machine."""
    return isinstance(value, Mapping) and ("states" in value or "initial" in value)


class _Functions(Collection[str]):
    """The names that an invocation may have as its ``src``."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if name.startswith(CHILD_TASK):
            return len(name) > len(CHILD_TASK)
        found = self._namespace.get(name)
        return _is_own(name, found) or is_graph(found)

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self._namespace.items() if _is_own(name, value))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_own(name: str, value: object) -> bool:
    """Whether a value is a function, and not one that every task has."""
    return inspect.isfunction(value) and value is not getattr(task, name, None)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function)


def _mapping(namespace: Namespace, name: str) -> dict[str, Any]:
    found = namespace.get(name)
    return dict(found) if isinstance(found, Mapping) else {}


def _delays(namespace: Namespace, plain: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: value for name, value in namespace.items() if type(value) in (int, float)}
    return {**plain, **numbers}


def _named_in(graph: object, found: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``found`` whose names occur in the graph as text or as a key."""
    names: set[str] = set()
    todo: list[object] = [graph]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            names.add(value)
        elif isinstance(value, Mapping):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            todo += value
    return {name: value for name, value in found.items() if name in names}
