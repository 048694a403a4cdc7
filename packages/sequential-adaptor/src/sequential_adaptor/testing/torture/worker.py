"""A worker as any other, but for a diary of its leases and completions, and a fuse that kills it at a boundary of
storage."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, NoReturn

from sequential_adaptor.engine import Worker
from sequential_adaptor.engine.retention.policy import Retention
from sequential_adaptor.records import TaskRun
from sequential_adaptor.registry import create_adapter
from sequential_adaptor.services import ServiceClient
from sequential_adaptor.storage import Change, Claim, StorageAdapter, Update

_KEEP = timedelta(seconds=2)


def work(
    *,
    storage: str | None,
    name: str,
    diary: str,
    url: str,
    concurrency: int,
    lease: float,
    fuse: int | None,
    forget: str | None = None,
) -> NoReturn:
    """Be a worker, for ever; never returns into the process that was forked.

    ``forget`` is a task whose runs are forgotten when they have completed.
    """
    retention = None if forget is None else Retention(_KEEP, ("completed",), forget)
    try:
        asyncio.run(_work(storage, name, diary, url, fuse, concurrency=concurrency, lease=lease, retention=retention))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


async def _work(storage: str | None, name: str, diary: str, url: str, fuse: int | None, **options: Any) -> None:
    adapter = await create_adapter(storage)
    watch(adapter, Diary(diary), Fuse(fuse))
    async with ServiceClient(url, auth_token=name) as services:
        await Worker(adapter, services=services, name=name, **options).run()
    await adapter.close()


class Diary:
    """Lines that are written when they are true, and outlive the process."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def leases(self, claims: Iterable[Claim]) -> None:
        """What is held now, and until when."""
        for one in claims:
            self._write(lease=one.stack_run.id, token=one.token, until=one.expires_at.timestamp())

    def completions(self, changes: Iterable[Change], commit: str) -> None:
        """Runs that a commit completed."""
        for change in changes:
            if isinstance(change, Update) and change.record is TaskRun and change.changes.get("status") == "completed":
                self._write(completed=change.id, commit=commit)

    def _write(self, **what: Any) -> None:
        os.write(self._file, json.dumps(what).encode() + b"\n")


class Fuse:
    """Kills the process at the n-th boundary of storage that it passes."""

    def __init__(self, length: int | None) -> None:
        self._left = length

    def burn(self) -> None:
        """A boundary is passed."""
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def watch(adapter: StorageAdapter, diary: Diary, fuse: Fuse) -> None:
    """Have the adapter tell what it does, and pass a boundary before and after each thing it does."""
    kept: Any = adapter

    def boundaries(method: Callable[..., Awaitable[Any]], note: Callable[..., None]) -> Callable[..., Awaitable[Any]]:
        @wraps(method)
        async def passed(*given: Any, **named: Any) -> Any:
            fuse.burn()
            result = await method(*given, **named)
            note(result, *given, **named)
            fuse.burn()
            return result

        return passed

    def committed(result: None, changes: Sequence[Change], *, id: str, **named: Any) -> None:
        diary.completions(changes, id)

    def claimed(result: list[Claim], *given: Any, **named: Any) -> None:
        diary.leases(result)

    kept.commit = boundaries(adapter.commit, committed)
    kept.claim_stack_runs = boundaries(adapter.claim_stack_runs, claimed)
    kept.heartbeat = boundaries(adapter.heartbeat, claimed)
