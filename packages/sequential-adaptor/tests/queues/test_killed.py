"""Real workers, really killed: never over a limit, nothing lost, nobody left with a slot."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor import Engine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="it kills with SIGKILL")]

LIMIT, WORKERS, KILLS, RUNS = 3, 4, 12, 48
CODE = """
async def main(input):
    for n in range(2):
        answer = await fetch(input["url"], method="POST", json={"run": input["run"], "key": input["key"], "n": n})
        answer.raise_for_status()
    return input["run"]
"""


class Service(ThreadingHTTPServer):
    """Records how many runs, and how many of each key, are being served at the same time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.now: Counter[tuple[int, str]] = Counter()
        self.most = 0
        self.most_of_a_key = 0
        self.served = 0

    def handle_error(self, *_: Any) -> None: ...

    def begin(self, run: tuple[int, str]) -> None:
        with self.lock:
            self.served += 1
            self.now[run] += 1
            on_their_way = [one for one, count in self.now.items() if count]
            self.most = max(self.most, len(on_their_way))
            self.most_of_a_key = max(self.most_of_a_key, *Counter(key for _, key in on_their_way).values())

    def end(self, run: tuple[int, str]) -> None:
        with self.lock:
            self.now[run] -= 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        run = (asked["run"], asked["key"])
        self.server.begin(run)
        time.sleep(0.05)
        self.server.end(run)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, daemon=True)
        thread.start()
        yield service
        service.shutdown()
        thread.join()


@pytest.mark.backends("folder", "sqlite", "supabase")
async def test_no_limit_is_exceeded_by_workers_that_are_killed(
    backend: str, url_of: Callable[[str, Path], str], tmp_path: Path, service: Service
) -> None:
    storage = url_of(backend, tmp_path / "tasks")
    chance, url = random.Random(7), f"http://127.0.0.1:{service.server_port}/"
    command = (sys.executable, "-m", "sequential_adaptor.cli", "work", "--storage", storage, "--lease", "1")
    crew: list[asyncio.subprocess.Process] = []

    async def start() -> None:
        crew.append(
            await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
        )

    async with Engine(storage) as engine:
        await engine.publish("call", CODE)
        await engine.set_queue("mail", limit=LIMIT)
        for _ in range(WORKERS):
            await start()
        handles = []
        for number in range(RUNS):
            key = str(number % 5)
            asked = {"url": url, "run": number, "key": key}
            handles.append(await engine.submit("call", asked, queue="mail", key=key, priority=number % 2))
        try:
            async with asyncio.timeout(110):
                for _ in range(KILLS):
                    await asyncio.sleep(chance.uniform(0.1, 0.6))
                    victim = crew.pop(chance.randrange(len(crew)))
                    victim.kill()
                    await victim.wait()
                    await start()
                results = [await handle.result() for handle in handles]
        finally:
            for worker in crew:
                worker.kill()
                await worker.wait()
        assert results == [*range(RUNS)]
        queue = await engine.queue("mail")
        assert queue.waiting == 0
    assert service.served >= 2 * RUNS
    assert service.most <= LIMIT
    assert service.most_of_a_key == 1
