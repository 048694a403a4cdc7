"""Threads for ``asyncio.to_thread`` inside tasks: the loop's thread waits until the function has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sequential_adaptor.task._host import Host, current

T = TypeVar("T")

_IDLE_SECONDS = 5.0


class _Job:
    __slots__ = ("args", "done", "error", "func", "host", "result")

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], host: Host | None) -> None:
        self.func, self.args, self.host = func, args, host
        self.done = threading.Lock()
        self.done.acquire()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        current.host = self.host
        try:
            self.result = self.func(*self.args)
        except BaseException as error:  # it is raised in the thread that waits
            self.error = error
        finally:
            current.host = None


_lock = threading.Lock()
_idle: list[SimpleQueue[_Job]] = []


def run_in_side_thread(func: Callable[..., T], args: tuple[Any, ...]) -> T:
    """The function's result, or what it raises; it runs in another thread, as part of the same task."""
    job = _Job(func, args, current.host)
    with _lock:
        queue = _idle.pop() if _idle else None
    if queue is None:
        queue = SimpleQueue()
        threading.Thread(target=_serve, args=(queue,), name="sequential-side", daemon=True).start()
    queue.put(job)
    job.done.acquire()
    if job.error is not None:
        raise job.error
    return job.result  # type: ignore[no-any-return]  # what `func` gave


def part_of_task(func: Callable[..., T]) -> Callable[..., T]:
    """The function, as part of the task that asks for it, whatever thread it runs in."""
    host = current.host

    def run(*args: Any) -> T:
        before, current.host = current.host, host
        try:
            return func(*args)
        finally:
            current.host = before

    return run


def _serve(queue: SimpleQueue[_Job]) -> None:
    while True:
        try:
            job: _Job | None = queue.get(timeout=_IDLE_SECONDS)
        except Empty:
            with _lock:
                if queue in _idle:  # else somebody has just picked it, and a job is on its way
                    _idle.remove(queue)
                    return
            continue
        assert job is not None
        job.run()
        with _lock:
            _idle.append(queue)
        job.done.release()
        job = None  # it holds the task's values
