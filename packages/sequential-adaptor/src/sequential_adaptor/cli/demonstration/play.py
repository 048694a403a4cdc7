"""The demo itself, told as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequential_adaptor.cli import console, formats, querying, timeline
from sequential_adaptor.cli.demonstration import bills, processes
from sequential_adaptor.cli.demonstration.processes import BankProcess
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.engine import Engine, RunHandle

NAME = "pay-bills"
BILLS = (("rent", 700), ("power", 60), ("water", 30), ("phone", 20), ("books", 45))
KILLED_AT = "water"
_PATIENCE = 60.0


async def play(folder: Path) -> None:
    """Kill a task in the middle, let it go on elsewhere, and show what is left of it. A wrong result raises."""
    storage = f"folder:{folder}"
    async with processes.bank() as bank, Engine(storage) as engine:
        _tell("service", f"a bank at {bank.url}, a process of its own (pid {bank.pid})")
        await engine.publish(NAME, Path(bills.__file__))
        handle = await engine.submit(NAME, {"bank": bank.url, "bills": _bills()})
        _tell("task", f"{NAME}: pays {len(BILLS)} bills, one HTTP call each (run {handle.id})")
        async with asyncio.timeout(_PATIENCE):
            await _first_worker(storage, bank)
            await _second_worker(storage, bank, handle)
        await _check(bank, handle)
        await _show(engine, handle, folder)
    _tell_way_on(folder, storage, handle)


async def _first_worker(storage: str, bank: BankProcess) -> None:
    async with processes.worker(storage) as worker:
        _tell("worker", f"pid {worker.pid}")
        asked = ""
        while asked != KILLED_AT:
            event = await bank.next_event()
            asked = event["bill"]
            _tell_event(event)
        await processes.kill(worker)
    _tell("KILLED", f"pid {worker.pid}, with SIGKILL, while it waited for that answer", style="bold red")


async def _second_worker(storage: str, bank: BankProcess, handle: RunHandle) -> None:
    async with processes.worker(storage) as worker:
        wait = f"it waits {processes.LEASE:g} s, until what the dead one held is free"
        _tell("worker", f"pid {worker.pid}, another process; {wait}")
        ending = asyncio.create_task(handle.settle())
        while not ending.done():
            event = asyncio.create_task(bank.next_event())
            await asyncio.wait({event, ending}, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                _tell_event(event.result())
            event.cancel()


async def _check(bank: BankProcess, handle: RunHandle) -> None:
    import httpx

    result = await handle.result()
    expected = {"bills": len(BILLS), "total": sum(amount for _, amount in BILLS)}
    async with httpx.AsyncClient(trust_env=False) as client:
        account = (await client.get(bank.url)).json()
    if result != expected or account != {"balance": -expected["total"], "payments": len(BILLS)}:
        raise CommandFailed(f"the result is {result}, the account {account}", "This must not happen: please report it.")
    paid = f"the bank was paid {account['payments']} times, {-account['balance']} in all: right"
    _tell("result", f"{formats.short(result)}; {paid}")


async def _show(engine: Engine, handle: RunHandle, folder: Path) -> None:
    run = await handle.record()
    console.out().print()
    timeline.draw(console.out(), await querying.story_of(engine, run), await engine.adapter.now())


def _tell_way_on(folder: Path, storage: str, handle: RunHandle) -> None:
    console.out().print(f"\nWhat it left, readable, in {folder}:")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and _is_telling(path, handle.id))
    for path in files:
        console.out().print(f"  {path.relative_to(folder)}  {path.stat().st_size:,} bytes")
    console.out().print(f"\nLook at it again: sequential show {handle.id} --storage {storage}", soft_wrap=True)
    console.out().print("Make your own:    sequential new hello && sequential run hello.py")


def _is_telling(path: Path, run_id: str) -> bool:
    """Files of this run, and the task's source; not those of earlier demos, nor what the store keeps for itself."""
    return run_id in str(path) or path.suffix == ".py"


def _bills() -> list[dict[str, Any]]:
    return [{"name": name, "amount": amount} for name, amount in BILLS]


def _tell_event(event: Mapping[str, Any]) -> None:
    again = "" if event["new"] else "  again, under the same key: it is not paid twice"
    _tell("", f"{event['bill']:<6} {event['amount']:>4}   key ...{event['key'][-6:]}{again}")


def _tell(who: str, what: str, style: str = "bold") -> None:
    from rich.text import Text

    console.out().print(Text.assemble((f"{who:<9}", style), what), soft_wrap=True)
