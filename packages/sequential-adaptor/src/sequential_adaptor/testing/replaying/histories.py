"""Histories: what is stored of a run, taken out of a storage, and kept in files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sequential_adaptor import values
from sequential_adaptor.engine.engine import Engine
from sequential_adaptor.engine.worker import opened
from sequential_adaptor.errors import ConfigurationError, RecordNotFound, SequentialError
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, from_json, to_json
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.storage import StorageAdapter

_FORMAT = 1
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class History:
    """A run, its root frame, what is below that, and the version of the function that it began with."""

    run: TaskRun
    frame: StackRun
    rows: Sequence[StackRun]
    function: TaskFunction

    def known(self) -> list[StackRun]:
        """What the code has seen of it, and the calls that it must make again, as they were before their outcomes were
        taken."""
        rows = [row for row in self.rows if row.position is not None or row.sequence is not None]
        return [row if row.position is not None else _without_outcome(row) for row in rows]

    def to_json(self) -> dict[str, JSON]:
        """The history as one JSON object."""
        return {
            "format": _FORMAT,
            "run": to_json(self.run),
            "frame": to_json(self.frame),
            "rows": [to_json(row) for row in self.rows],
            "function": to_json(self.function),
        }

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> History:
        """The history that :meth:`to_json` wrote."""
        return History(
            from_json(TaskRun, found["run"]),
            from_json(StackRun, found["frame"]),
            [from_json(StackRun, row) for row in found["rows"]],
            from_json(TaskFunction, found["function"]),
        )


async def record_histories(
    storage: StorageAdapter | Engine | str | None,
    runs: Iterable[str] = (),
    *,
    task: str | None = None,
    status: str | Sequence[str] | None = None,
    limit: int | None = 100,
) -> list[History]:
    """The histories of these runs; without any, of the newest ``limit`` runs of ``task``, in these states if given.

    ``storage`` is a storage URL, an open adapter or engine, or ``None`` for the default. Nothing is written to it.
    """
    async with _reading(storage) as store:
        found = [await _run(store, id) for id in runs]
        if not found:
            filter = {name: wanted for name, wanted in (("task_identifier", task), ("status", status)) if wanted}
            filter = {name: list(wanted) if not isinstance(wanted, str) else wanted for name, wanted in filter.items()}
            found = await store.query_task_runs(filter, limit=limit, newest_first=True)
        return [await _history(store, run) for run in found]


def write_histories(folder: str | Path, histories: Iterable[History]) -> list[Path]:
    """Write each to ``<folder>/<run id>.json``, in place of one that is there.

    They hold what the runs were given and answered: not what the engine hides (keys, tokens), but all the rest.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for history in histories:
        path = Path(folder, f"{history.run.id}.json")
        path.write_text(values.encode_readable(history.to_json()) + "\n", encoding="utf-8")
        written.append(path)
    return written


def read_histories(path: str | Path) -> list[History]:
    """The history in a file, or those in all ``*.json`` of a folder, in the order of their names."""
    place = Path(path)
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not files:
        raise ConfigurationError(f"no histories in {str(place)!r}; `sequential export RUN... --to {place}` writes them")
    return [_read(file) for file in files]


def _read(path: Path) -> History:
    try:
        found = values.decode(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("format") == _FORMAT:
            return History.from_json(found)
        reason = f"its format is {found.get('format') if isinstance(found, dict) else None!r}, not {_FORMAT}"
    except FileNotFoundError:
        reason = "there is no such file"
    except (SequentialError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigurationError(f"{str(path)!r} holds no history ({reason}); `sequential export` writes them")


def _without_outcome(row: StackRun) -> StackRun:
    if row.status not in STACK_RUN.ended:
        return row
    return row.replace(status="in_progress", result=None, error=None, ended_at=None)


@asynccontextmanager
async def _reading(storage: StorageAdapter | Engine | str | None) -> AsyncIterator[StorageAdapter]:
    if isinstance(storage, Engine):
        yield storage.adapter
        return
    async with opened(storage) as store:
        yield store


async def _run(store: StorageAdapter, id: str) -> TaskRun:
    run = await store.get_task_run(id)
    if run is None:
        raise RecordNotFound("run", id)
    return run


async def _history(store: StorageAdapter, run: TaskRun) -> History:
    frame = await store.get_stack_run(run.id)
    function = await store.get_task_function(run.task_identifier, run.version or None)
    if frame is None:
        raise RecordNotFound("StackRun", run.id)
    rows: list[StackRun] = []
    cursor = None
    while True:
        page = await store.query_stack_runs({"parent_stack_run_id": run.id}, limit=_PAGE, cursor=cursor)
        rows += page
        cursor = page.cursor
        if cursor is None:
            break
    missing = TaskFunction(identifier=run.task_identifier, version=run.version, runner=run.runner)
    return History(run, frame, rows, function or missing)
