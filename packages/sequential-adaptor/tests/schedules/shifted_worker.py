"""A worker whose store has another clock: ``python shifted_worker.py STORAGE OFFSET_FILE TRAP WHEN``.

The offset file holds seconds, and may be written to at any time. The first worker of all that is about to commit the
run of a schedule (``WHEN`` is ``before``), or has just done so (``after``), makes the file ``TRAP`` and is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime as real
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

CLOCKS = "sequential_adaptor.backends."


def shifted(offset_file: Path) -> Any:
    """What looks like the class ``datetime``, and has another idea of now."""

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

        def __call__(cls, *given: Any, **named: Any) -> real:
            return real(*given, **named)  # noqa: DTZ001 - it is asked for as it is asked for

        def now(cls, tz: tzinfo | None = None) -> real:
            return real.now(tz) + timedelta(seconds=float(offset_file.read_text() or 0))

    return Meta("datetime", (), {})


def clocks() -> Iterator[Any]:
    """The modules that ask for the time of the store."""
    for name, module in list(sys.modules.items()):
        if name.startswith(CLOCKS) and getattr(module, "datetime", None) is real:
            yield module


async def work(storage: str, offset_file: Path, trap: Path, when: str) -> None:
    from sequential_adaptor import Worker, create_adapter
    from sequential_adaptor.records import TaskRun
    from sequential_adaptor.storage import Create

    async with create_adapter(storage) as adapter:
        clock = shifted(offset_file)
        for module in clocks():
            module.datetime = clock
        commit = adapter.commit

        async def trapped(changes: Sequence[Any], **named: Any) -> None:
            created = [one.record for one in changes if isinstance(one, Create) and isinstance(one.record, TaskRun)]
            fires = any((run.metadata or {}).get("schedule") for run in created)
            if fires and when == "before":
                step_into(trap)
            await commit(changes, **named)
            if fires:
                step_into(trap)

        adapter.commit = trapped
        print("ready", flush=True)
        await Worker(adapter, lease=1.0).run()


def step_into(trap: Path) -> None:
    """Die, if nobody has yet."""
    try:
        os.close(os.open(trap, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
