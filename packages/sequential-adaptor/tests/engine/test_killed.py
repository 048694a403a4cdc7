"""Real processes, really killed: at every boundary of storage and of the network, one after the other."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine, FolderAdapter, Worker

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("dying_process.py")
WAYS = ["work", "run", "stop_and_go"]
LEASE = 1.0
CODE = """
async def main(address):
    first = await call_host_tool("counter", "next", {"after": 0})
    answer = await fetch(f"{address}/double", method="POST", json=first)
    async def add(number):
        return number + 1
    return await step(add, answer.json())
"""
RIGHT = 3
KEYS = {"run.1", "run.2"}


class Server(ThreadingHTTPServer):
    """Whose clients may die at any time."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None: ...


class Service:
    """A real HTTP service that knows each request by its key, and kills a process at its n-th boundary."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.victim: int | None = None
        self.left = 0
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                service.boundary()
                with service._lock:
                    service.requests[self.headers["idempotency-key"]] += 1
                answer = {"result": sent["chain"][0]["args"]["after"] + 1} if self.path != "/double" else sent * 2
                service.boundary()
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def boundary(self) -> None:
        self.left -= 1
        if self.left == 0 and self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    found = Service()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SERVICE_BASE_URL", found.address)
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


async def submitted(path: Path, address: str) -> None:
    async with Engine(f"folder:{path}") as engine:
        await engine.publish("task", CODE)
        await engine.submit("task", address, id="run")


async def was_killed(way: str, path: Path, service: Service, *, storage: int = 0, network: int = 0) -> bool:
    """Run the child; say whether it died of SIGKILL, and not of old age."""
    service.left = network
    child = await asyncio.create_subprocess_exec(
        sys.executable, CHILD, way, path, str(LEASE), str(storage), stderr=asyncio.subprocess.PIPE
    )
    service.victim = child.pid
    _, said = await asyncio.wait_for(child.communicate(), 60)
    service.victim = None
    assert child.returncode in (0, -signal.SIGKILL), said.decode()
    return child.returncode != 0


async def check(path: Path, service: Service, where: str) -> None:
    """A fresh worker ends the task right: every call under one key, every outcome recorded once."""
    async with FolderAdapter(path) as store:
        await asyncio.wait_for(Worker(store).run(until_idle=True), 60)
        async with Engine(store) as engine:
            handle = engine.handle("run")
            record, calls = await handle.record(), await handle.calls()
            frame = await store.get_stack_run("run")
    assert (record.status, record.result) == ("completed", RIGHT), where
    assert [call.operation for call in calls] == ["counter.next", "fetch", "step:add"], where
    assert [call.position for call in calls] == [0, 1, 2], where
    assert set(service.requests) == KEYS, where
    assert frame is not None
    for call in calls:  # each claim sends a call at most once
        assert service.requests[call.id] <= frame.token + call.token, where


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("boundary", ["storage", "network"])
async def test_a_process_killed_at_any_boundary_loses_nothing(
    way: str, boundary: str, tmp_path: Path, service: Service
) -> None:
    for number in itertools.count(1):
        service.requests.clear()
        path = tmp_path / str(number)
        await submitted(path, service.address)
        killed = await was_killed(way, path, service, **{boundary: number})
        await check(path, service, f"killed at {boundary} boundary {number}")
        if not killed:
            break
    assert number > (10 if boundary == "storage" else 4)
