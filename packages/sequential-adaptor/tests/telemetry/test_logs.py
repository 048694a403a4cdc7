"""Log lines say which run, and which call, they are about."""

from __future__ import annotations

import logging
from typing import Any

from sequential_adaptor import ServiceClient
from sequential_adaptor.testing import SkippingEngine

CODE = """
import asyncio, logging

async def main(n):
    logging.getLogger("mine").info("begins")
    await step(double, n)
    await asyncio.sleep(60)
    await call_host_tool("shop", "buy", n)
    logging.getLogger("mine").info("ends")

def double(n):
    logging.getLogger("mine").info("doubles")
"""


async def test_every_line_has_its_run_and_its_call(logged: Any) -> None:
    """Of the task's own code, of its steps, of services, and of the engine at work on it; and none twice, though the
    task was replayed in between."""
    services = ServiceClient()
    services.register_service("shop", lambda method, params: logging.getLogger("shop").info("%s", method))
    async with SkippingEngine(services=services) as engine:
        await engine.publish("logs", CODE)
        runs = [await engine.submit("logs", n, id=f"run-{n}") for n in range(2)]
        await engine.advance(30)
        await engine.advance(60)
        for run in runs:
            await run.result()
            lines = [(name, message, call) for name, message, about, call in logged if about == run.id]
            assert [line for line in lines if line[0] in ("mine", "shop")] == [
                ("mine", "begins", ""),
                ("mine", "doubles", f"{run.id}.1"),
                ("shop", "buy", f"{run.id}.2"),
                ("mine", "ends", ""),
            ]
            assert ("sequential_adaptor", "logs: ended", "") in lines
    logging.getLogger("mine").warning("beside")
    assert ("mine", "beside", "", "") in logged
