"""Events a second through `Machine.send`, beside other statechart libraries, in one run.

    pip install transitions xstate-statemachine python-statemachine
    npm install xstate                     # in any folder, for --node-modules
    python benchmarks/flow_send.py [--node-modules FOLDER]

A flat machine of 50 states in a ring, and three parallel regions of 50 states each, all moved by the same event. Each
library is warmed up and takes the best of five rounds, in CPU time, so that a busy machine favours nobody. The kernel
here is pure: it makes a new snapshot with every event, as XState's `transition` does, where the others change an object
in place.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sequential_adaptor.flow import Machine

STATES, EVENTS, ROUNDS = 50, 20_000, 5
NAMES = [f"s{number}" for number in range(STATES)]
RING: dict[str, Any] = {
    "initial": "s0",
    "states": {name: {"on": {"NEXT": NAMES[(number + 1) % STATES]}} for number, name in enumerate(NAMES)},
}
FLAT = {"id": "flat", **RING}
PARALLEL = {"id": "parallel", "type": "parallel", "states": {f"r{number}": RING for number in range(3)}}


def rate(turn: Callable[[int], None], events: int = EVENTS) -> float:
    """Events a second of ``turn(count)``, the best of some rounds."""
    turn(200)
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        turn(events)
        best = max(best, events / (time.process_time() - began))
    return best


def ours(config: dict[str, Any]) -> float:
    """The kernel of this library."""
    machine = Machine.load(config)
    snapshot = machine.start().snapshot

    def turn(count: int) -> None:
        nonlocal snapshot
        for _ in range(count):
            snapshot = machine.send(snapshot, {"type": "NEXT"}).snapshot

    return rate(turn)


def transitions_flat() -> float:
    """``transitions.Machine`` with its defaults, queued or not being the same here."""
    from transitions import Machine as Plain

    machine: Any = Plain(states=NAMES, transitions=_arrows(NAMES), initial="s0")
    return rate(lambda count: [machine.NEXT() for _ in range(count)] and None)


def transitions_parallel() -> float:
    """``HierarchicalMachine`` with three regions."""
    from transitions.extensions import HierarchicalMachine

    regions = [
        {"name": f"r{number}", "initial": "s0", "children": NAMES, "transitions": _arrows(NAMES)} for number in range(3)
    ]
    machine: Any = HierarchicalMachine(states=[{"name": "p", "parallel": regions}], initial="p")
    return rate(lambda count: [machine.NEXT() for _ in range(count)] and None, events=600)


def python_statemachine() -> float:
    """``statemachine.StateMachine`` of python-statemachine."""
    from statemachine import State, StateMachine

    states = {name: State(name, initial=name == "s0") for name in NAMES}
    arrows = [states[name].to(states[NAMES[(number + 1) % STATES]]) for number, name in enumerate(NAMES)]
    event = arrows[0]
    for arrow in arrows[1:]:
        event = event | arrow
    machine: Any = type("Ring", (StateMachine,), {**states, "next": event})()
    return rate(lambda count: [machine.next() for _ in range(count)] and None, events=2_000)


def xstate_statemachine(config: dict[str, Any]) -> float:
    """The interpreter of xstate-statemachine, which is a queue in an event loop."""
    from xstate_statemachine import MachineLogic, SyncInterpreter, create_machine

    machine = SyncInterpreter(create_machine(config, logic=MachineLogic()))
    machine.start()
    return rate(lambda count: [machine.send("NEXT") for _ in range(count)] and None, events=3_000)


def xstate(config: dict[str, Any], folder: Path) -> float:
    """XState's pure transition function in Node."""
    script = f"""
const {{createMachine, initialTransition, transition}} = require('xstate');
const machine = createMachine({json.dumps(config)});
let [snapshot] = initialTransition(machine);
const turn = n => {{ for (let i = 0; i < n; i++) [snapshot] = transition(machine, snapshot, {{type: 'NEXT'}}); }};
turn({EVENTS});
let best = 0;
for (let round = 0; round < {ROUNDS}; round++) {{
  const began = process.cpuUsage(); turn({EVENTS});
  const used = process.cpuUsage(began);
  best = Math.max(best, {EVENTS} * 1e6 / (used.user + used.system));
}}
console.log(best);
"""
    done = subprocess.run(["node", "-e", script], cwd=folder, capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


def loading() -> float:
    """Milliseconds to load the flat machine, the best of some rounds."""
    best = float("inf")
    for _ in range(20):
        began = time.process_time()
        Machine.load(FLAT)
        best = min(best, time.process_time() - began)
    return best * 1000


def _arrows(names: list[str]) -> list[list[str]]:
    return [["NEXT", name, names[(number + 1) % len(names)]] for number, name in enumerate(names)]


def measured(what: str, measure: Callable[[], float], own: float) -> None:
    """One line: events a second, and how many times as fast ours is."""
    try:
        found = measure()
    except Exception as error:
        print(f"  {what:44} not measured: {type(error).__name__}: {str(error).splitlines()[0][:60]}")
    else:
        print(f"  {what:44} {found:10,.0f} a second   ours is {own / found:5.1f} times that")


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node-modules", type=Path, help="a folder in which xstate is installed")
    folder: Path | None = parser.parse_args().node_modules
    print(f"loading {STATES} states: {loading():.2f} ms")
    for title, config, others in (
        ("flat", FLAT, {"transitions.Machine": transitions_flat, "python-statemachine": python_statemachine}),
        ("three parallel regions", PARALLEL, {"transitions.HierarchicalMachine": transitions_parallel}),
    ):
        own = ours(config)
        print(f"{title}\n  {'sequential_adaptor.flow':44} {own:10,.0f} a second")
        for name, measure in others.items():
            measured(name, measure, own)
        measured("xstate-statemachine", partial(xstate_statemachine, config), own)
        if folder is not None and shutil.which("node"):
            measured("XState in Node", partial(xstate, config, folder), own)


if __name__ == "__main__":
    main()
