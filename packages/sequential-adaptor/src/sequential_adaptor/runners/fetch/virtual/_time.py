"""``time``: the task's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sequential_adaptor.errors import NotDurable
from sequential_adaptor.runners.fetch.virtual._frames import frame

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def epoch_ns() -> int | None:
    """Nanoseconds since 1970 on the task's clock, ``None`` outside of tasks."""
    found = frame()
    return None if found is None else (found.clock.now - _EPOCH) // _MICROSECOND * 1000


def replacements() -> dict[str, Any]:
    """What reads a clock, and ``sleep``, which would stop the whole task."""
    names: dict[str, Any] = {"time": _time, "time_ns": _time_ns, "sleep": _sleep, "clock_gettime": _clock_gettime}
    names["clock_gettime_ns"] = _clock_gettime_ns
    names["strftime"] = _strftime
    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        names[name], names[f"{name}_ns"] = _elapsed(name), _elapsed_ns(name)
    for name in ("ctime", "gmtime", "localtime"):
        names[name] = _of_now(name)
    names["asctime"] = _asctime
    return {name: function for name, function in names.items() if hasattr(time, name)}


def _time() -> float:
    found = frame()
    return time.time() if found is None else found.clock.now.timestamp()


def _time_ns() -> int:
    found = epoch_ns()
    return time.time_ns() if found is None else found


def _elapsed(name: str) -> Callable[[], float]:
    real: Callable[[], float] = getattr(time, name, time.monotonic)

    def read() -> float:
        found = frame()
        return real() if found is None else found.clock.elapsed

    return read


def _elapsed_ns(name: str) -> Callable[[], int]:
    real: Callable[[], int] = getattr(time, f"{name}_ns", time.monotonic_ns)

    def read() -> int:
        found = frame()
        return real() if found is None else round(found.clock.elapsed * 1e6) * 1000

    return read


def _clock_gettime(clock: int, /) -> float:
    if frame() is None:
        return time.clock_gettime(clock)
    return _time() if clock == time.CLOCK_REALTIME else _elapsed("monotonic")()


def _clock_gettime_ns(clock: int, /) -> int:
    if frame() is None:
        return time.clock_gettime_ns(clock)
    return _time_ns() if clock == time.CLOCK_REALTIME else _elapsed_ns("monotonic")()


def _of_now(name: str) -> Callable[..., Any]:
    real = getattr(time, name)

    def convert(seconds: float | None = None, /) -> Any:
        return real(_time() if seconds is None else seconds)

    return convert


def _asctime(*moment: Any) -> str:
    return time.asctime(*(moment or (time.localtime(_time()),)))


def _strftime(format: str, *moment: Any) -> str:
    return time.strftime(format, *(moment or (time.localtime(_time()),)))


def _sleep(seconds: float, /) -> None:
    found = frame()
    if found is None:
        return time.sleep(seconds)
    raise NotDurable(
        f"{found.own_line()}: time.sleep() would stop the whole task and be slept again at every replay. "
        "Use `await asyncio.sleep(...)`, or sleep(...) for a pause that shows in the run"
    )
