"""The five worker methods over the 16 documented ones, for adapters that have no better: right for one process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sequential_adaptor import ids, values
from sequential_adaptor.errors import ClaimLost, Conflict, RecordExists, RecordNotFound
from sequential_adaptor.lifecycles import STACK_RUN
from sequential_adaptor.records import JSON_FIELDS, StackRun, TaskRun, check_fields
from sequential_adaptor.storage.changes import Change, Claim, Create, Update, Wake
from sequential_adaptor.storage.filling import changed_record, is_repeat, new_stack_run, new_task_run

if TYPE_CHECKING:
    from sequential_adaptor.storage.adapter import StorageAdapter

_REMEMBERED = 10_000


class SingleProcess:
    """Claims, commits and leases of one process over an adapter's documented methods, under a lock of this process.

    It cannot be all-or-none against a crash (the adapter says ``atomic = False``): it applies creates, then outcomes,
    then runs, then frames, so that a crash leaves a frame that repeats harmlessly.
    """

    def __init__(self, adapter: StorageAdapter) -> None:
        self._adapter = adapter
        self._lock = asyncio.Lock()
        self._work = asyncio.Event()
        self._done: OrderedDict[str, None] = OrderedDict()

    async def claim(self, worker: str, limit: int, lease: float, ids: Collection[str] | None) -> list[Claim]:
        async with self._lock:
            now = await self._adapter.now()
            expires_at = now + timedelta(seconds=lease)
            claims = []
            for found in (await self._due(now, ids))[:limit]:
                token = found.token + 1
                held = await self._adapter.update_stack_run(
                    found.id, worker=worker, token=token, lease_expires_at=expires_at, updated_at=found.updated_at
                )
                claims.append(Claim(held, worker, token, expires_at))
            return claims

    async def _due(self, now: datetime, ids: Collection[str] | None) -> list[StackRun]:
        filter: dict[str, Any] = {"status": STACK_RUN.open}
        if ids is not None:
            filter["id"] = list(ids)
        found = await self._adapter.query_stack_runs(filter)
        return sorted((one for one in found if is_due(one, now)), key=lambda one: (one.due_at, one.id))

    async def heartbeat(self, claims: Sequence[Claim], lease: float) -> list[Claim]:
        async with self._lock:
            now = await self._adapter.now()
            expires_at = now + timedelta(seconds=lease)
            kept = []
            for claim in claims:
                found = await self._adapter.get_stack_run(claim.stack_run.id)
                if found is not None and holds(claim, found, now):
                    held = await self._adapter.update_stack_run(
                        found.id, lease_expires_at=expires_at, updated_at=found.updated_at
                    )
                    kept.append(Claim(held, claim.worker, claim.token, expires_at))
            return kept

    async def wait_for_work(self, timeout: float) -> None:
        try:
            await asyncio.wait_for(self._work.wait(), timeout)
        except TimeoutError:
            return
        self._work.clear()

    async def commit(self, changes: Sequence[Change], claims: Sequence[Claim], id: str) -> None:
        async with self._lock:
            if id in self._done:
                return
            draft = _Draft(self._adapter, await self._adapter.now())
            for claim in claims:
                found = await draft.read(StackRun, claim.stack_run.id)
                if found is None or not holds(claim, found, draft.now):
                    raise ClaimLost(claim.stack_run.id, claim.token)
            for change in changes:
                await draft.apply(change, id)
            await draft.write()
            self._done[id] = None
            if len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
        self._work.set()


def is_due(found: StackRun, now: datetime) -> bool:
    """Whether a worker may claim it: ``due_at`` is set and past, and no live lease holds it."""
    if found.due_at is None or found.due_at > now or found.status in STACK_RUN.ended:
        return False
    return not found.is_held(now)


def holds(claim: Claim, found: StackRun, now: datetime) -> bool:
    """Whether a claim still covers the stored record."""
    if (found.token, found.worker) != (claim.token, claim.worker):
        return False
    return found.is_held(now)


def check_expectations(change: Update, found: TaskRun | StackRun) -> None:
    """Raise :class:`Conflict` for the first field of ``change.expect`` that has another value."""
    payloads = JSON_FIELDS[change.record]
    check_fields(change.record, change.expect)
    for name, expected in change.expect.items():
        value = getattr(found, name)
        same = values.identical(value, expected) if name in payloads else value == expected
        if not same:
            raise Conflict(change.record.__name__, change.id, name, expected, value)


class _Draft:
    """The changes of one commit, checked against what is stored, before the first of them is written."""

    def __init__(self, adapter: StorageAdapter, now: datetime) -> None:
        self._adapter = adapter
        self.now = now
        self._seen: dict[tuple[type, str], TaskRun | StackRun | None] = {}
        self._created: dict[tuple[type, str], TaskRun | StackRun] = {}
        self._changed: dict[tuple[type, str], dict[str, Any]] = {}

    async def read(self, record: type, id: str) -> Any:
        key = (record, ids.check_run_id(id) if record is TaskRun else ids.check_stack_run_id(id))
        if key not in self._seen:
            get = self._adapter.get_task_run if record is TaskRun else self._adapter.get_stack_run
            self._seen[key] = await get(id)
        return self._seen[key]

    async def apply(self, change: Change, commit: str) -> None:
        if isinstance(change, Create):
            await self._create(change, commit)
        elif isinstance(change, Update):
            found = await self._existing(change.record, change.id)
            check_expectations(change, found)
            self._change(found, change.changes, commit)
        else:
            await self._wake(change)

    async def _create(self, change: Create, commit: str) -> None:
        new: TaskRun | StackRun
        if isinstance(change.record, TaskRun):
            new = new_task_run(change.record, self.now)
        else:
            new = new_stack_run(change.record, self.now).replace(last_commit=commit)
        stored = await self.read(type(new), new.id)
        if stored is None:
            self._created[type(new), new.id] = self._seen[type(new), new.id] = new
        elif not is_repeat(stored, new):
            raise RecordExists(type(new).__name__, new.id)

    async def _wake(self, change: Wake) -> None:
        found = await self._existing(StackRun, change.stack_run_id)
        if found.status not in STACK_RUN.ended:
            self._change(found, {"due_at": self.now, "wakes": found.wakes + 1}, None)

    async def _existing(self, record: type, id: str) -> Any:
        found = await self.read(record, id)
        if found is None:
            raise RecordNotFound(record.__name__, id)
        return found

    def _change(self, found: Any, changes: Mapping[str, Any], commit: str | None) -> None:
        key = (type(found), found.id)
        if commit is not None and isinstance(found, StackRun):
            changes = {**changes, "last_commit": commit}
        after = changed_record(found, changes, self.now)
        self._seen[key] = after
        if key in self._created:
            self._created[key] = after
        else:
            self._changed.setdefault(key, {}).update(changes)

    async def write(self) -> None:
        for record in self._created.values():
            if isinstance(record, TaskRun):
                await self._adapter.create_task_run(record)
            else:
                await self._adapter.create_stack_run(record)
        for (record_type, id), changes in sorted(self._changed.items(), key=self._order):
            update = self._adapter.update_task_run if record_type is TaskRun else self._adapter.update_stack_run
            await update(id, changes)

    def _order(self, item: tuple[tuple[type, str], dict[str, Any]]) -> int:
        """Outcomes of calls first, then runs, then frames."""
        key = item[0]
        if key[0] is TaskRun:
            return 1
        found = self._seen[key]
        return 2 if isinstance(found, StackRun) and found.is_frame else 0
