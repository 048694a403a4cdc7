"""Statecharts, pure: XState v5 machines as JSON, SCXML's algorithm, snapshots that any process goes on from.

    machine = Machine.load(config, functions=..., guards=..., actions=..., delays=...)
    step = machine.start(input, at=0.0)
    step = machine.send(step.snapshot, {"type": "PAID"}, at=12.5)

Nothing here reads a clock, touches a file or calls anybody: the runner of the same name does.
"""

from __future__ import annotations

from sequential_adaptor.flow.errors import (
    ActionFailed,
    EndlessLoop,
    EventError,
    FlowError,
    MachineError,
    NotExpressible,
    SnapshotError,
)
from sequential_adaptor.flow.machine import Machine
from sequential_adaptor.flow.problems import Problem
from sequential_adaptor.flow.snapshots import Step

__all__ = [
    "ActionFailed",
    "EndlessLoop",
    "EventError",
    "FlowError",
    "Machine",
    "MachineError",
    "NotExpressible",
    "Problem",
    "SnapshotError",
    "Step",
]
