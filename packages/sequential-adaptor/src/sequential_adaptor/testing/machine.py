"""A hypothesis state machine that holds a backend against the model, step by step, over every method of the
interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from sequential_adaptor.errors import SequentialError
from sequential_adaptor.records import (
    StackRun,
    TaskRun,
    version_of,
)
from sequential_adaptor.storage import Change, Claim, StorageAdapter
from sequential_adaptor.testing.comparing import plain
from sequential_adaptor.testing.model import Model
from sequential_adaptor.testing.storage import Storage
from sequential_adaptor.testing.strategies import (
    CODES,
    IN_THE_BEGINNING,
    INSTANTS,
    KEYS,
    LIMITS,
    RUN_IDS,
    STACK_IDS,
    WORKERS,
    changes,
    commit_ids,
    committed,
    filters,
    orders,
    payloads,
    some_claims,
    stack_runs,
    task_runs,
)
from sequential_adaptor.values import JSON

Fields: TypeAlias = dict[str, Any]

LEASE = 3000.0
"""Seconds: no lease ends during a test by itself."""


class Machine(RuleBasedStateMachine):
    """The same history for a backend and for the model: whatever one does or refuses, the other does or refuses too.

    A store has a run, its frame and a call in the beginning. Nothing waits: leases are long, and one that is over has
    been ended by an update of ``lease_expires_at``.
    """

    def __init__(self, storage: Storage, *, sharing: bool = True, reopening: bool = True) -> None:
        super().__init__()
        self._storage, self._reopening = storage, reopening
        self._loop = asyncio.Runner()
        self._adapters: list[StorageAdapter] = [self._do(storage.open())]
        self._sharing = sharing and self._adapters[0].atomic
        self._deletes = type(self._adapter).delete_task_run is not StorageAdapter.delete_task_run
        if self._sharing:
            self._adapters.append(self._do(storage.open()))
        self._started = self._do(self._adapters[0].now())
        self._model = Model(self._started)
        self._claims: list[tuple[Claim, Claim]] = []
        for record in IN_THE_BEGINNING:
            self._create(record)

    def _create(self, record: TaskRun | StackRun) -> None:
        create: Any = self._adapter.create_task_run if isinstance(record, TaskRun) else self._adapter.create_stack_run
        self._same(create(record), lambda: self._model.create(record))

    def teardown(self) -> None:
        for adapter in self._adapters:
            self._do(adapter.close())
        self._loop.close()

    @property
    def _adapter(self) -> StorageAdapter:
        return self._adapters[0]

    # ---- runs

    @rule(record=task_runs)
    def create_task_run(self, record: TaskRun) -> None:
        self._create(record)

    @rule(id=RUN_IDS)
    def get_task_run(self, id: str) -> None:
        self._same(self._adapter.get_task_run(id), lambda: self._model.get(TaskRun, id))

    @rule(id=RUN_IDS, fields=changes(TaskRun))
    def update_task_run(self, id: str, fields: Fields) -> None:
        self._same(self._adapter.update_task_run(id, fields), lambda: self._model.update(TaskRun, id, fields))

    @rule(filter=filters(TaskRun), limit=LIMITS, order_by=orders(TaskRun), newest_first=st.booleans())
    def query_task_runs(self, filter: Fields, limit: int | None, order_by: str, newest_first: bool) -> None:
        paged = self._all_pages(TaskRun, filter, limit=limit, order_by=order_by, newest_first=newest_first)
        self._same(paged, lambda: self._model.query(TaskRun, filter, order_by, newest_first))

    @precondition(lambda self: self._deletes)
    @rule(id=RUN_IDS)
    def delete_task_run(self, id: str) -> None:
        self._same(self._adapter.delete_task_run(id), lambda: self._model.delete(id))

    # ---- frames and calls

    @rule(record=stack_runs)
    def create_stack_run(self, record: StackRun) -> None:
        self._create(record)

    @rule(id=STACK_IDS)
    def get_stack_run(self, id: str) -> None:
        self._same(self._adapter.get_stack_run(id), lambda: self._model.get(StackRun, id))

    @rule(id=STACK_IDS, fields=changes(StackRun))
    def update_stack_run(self, id: str, fields: Fields) -> None:
        self._same(self._adapter.update_stack_run(id, fields), lambda: self._model.update(StackRun, id, fields))

    @rule(filter=filters(StackRun), limit=LIMITS, order_by=orders(StackRun), newest_first=st.booleans())
    def query_stack_runs(self, filter: Fields, limit: int | None, order_by: str, newest_first: bool) -> None:
        paged = self._all_pages(StackRun, filter, limit=limit, order_by=order_by, newest_first=newest_first)
        self._same(paged, lambda: self._model.query(StackRun, filter, order_by, newest_first))

    @rule()
    def get_pending_stack_runs(self) -> None:
        self._same(self._adapter.get_pending_stack_runs(), lambda: self._model.pending())

    # ---- claims; those that were made are numbered, and counted round

    @rule(worker=WORKERS, limit=st.integers(1, 4), ids=st.none() | st.lists(STACK_IDS, max_size=3))
    def claim_stack_runs(self, worker: str, limit: int, ids: list[str] | None) -> None:
        claims = self._same(
            self._adapter.claim_stack_runs(worker, limit=limit, lease=LEASE, ids=ids),
            lambda: self._model.claim(worker, limit, LEASE, ids),
        )
        self._claims.extend(zip(*claims, strict=True))

    @precondition(lambda self: self._claims)
    @rule(claims=some_claims)
    def heartbeat(self, claims: list[int]) -> None:
        ours, theirs = self._numbered(claims)
        self._same(self._adapter.heartbeat(ours, lease=LEASE), lambda: self._model.heartbeat(theirs, LEASE))

    @precondition(lambda self: self._claims)
    @rule(claim=st.integers(0, 9))
    def lease_ends(self, claim: int) -> None:
        self.update_stack_run(
            self._claims[claim % len(self._claims)][0].stack_run.id, {"lease_expires_at": INSTANTS[0]}
        )

    @rule(changes=committed, claims=some_claims, id=commit_ids)
    def commit(self, changes: list[Change], claims: list[int], id: str) -> None:
        ours, theirs = self._numbered(claims)
        self._same(self._adapter.commit(changes, claims=ours, id=id), lambda: self._model.commit(changes, theirs, id))

    def _numbered(self, claims: list[int]) -> tuple[list[Claim], list[Claim]]:
        pairs = [self._claims[number % len(self._claims)] for number in claims if self._claims]
        return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]

    # ---- functions and keystore

    @rule(identifier=KEYS, code=CODES)
    def store_task_function(self, identifier: str, code: str) -> None:
        self._same(
            self._adapter.store_task_function(identifier, code), lambda: self._model.store_function(identifier, code)
        )

    @rule(identifier=KEYS, version=st.none() | CODES.map(version_of))
    def get_task_function(self, identifier: str, version: str | None) -> None:
        self._same(
            self._adapter.get_task_function(identifier, version), lambda: self._model.get_function(identifier, version)
        )

    @rule(key=KEYS, value=payloads)
    def set_keystore(self, key: str, value: JSON) -> None:
        self._same(self._adapter.set_keystore(key, value), lambda: self._model.keystore.update({key: value}))

    @rule(key=KEYS)
    def get_keystore(self, key: str) -> None:
        self._same(self._adapter.get_keystore(key), lambda: self._model.keystore.get(key))

    @rule(key=KEYS)
    def delete_keystore(self, key: str) -> None:
        self._same(self._adapter.delete_keystore(key), lambda: self._model.delete_key(key))

    # ---- adapters

    @rule()
    def wait_for_work(self) -> None:
        self._same(self._adapter.wait_for_work(0), lambda: None)

    @precondition(lambda self: self._sharing)
    @rule()
    def use_the_other_adapter(self) -> None:
        self._adapters.reverse()

    @precondition(lambda self: self._reopening)
    @rule()
    def close_and_open(self) -> None:
        for adapter in self._adapters:
            self._do(adapter.close())
        self._adapters = [self._do(self._storage.open()) for _ in self._adapters]
        if not self._adapter.atomic:  # its commit ids are remembered by the adapter, not by the store
            self._model.commits.clear()
        self._do(self._everything_is_the_same())

    # ---- holding the one against the other

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(what)

    def _same(self, what: Coroutine[Any, Any, Any], model: Callable[[], Any]) -> tuple[Any, Any]:
        """Let both do it; what they give back or raise, and all that is stored then, is the same."""
        given, expected = self._do(self._both(what, model))
        return given, expected

    async def _both(self, what: Coroutine[Any, Any, Any], model: Callable[[], Any]) -> tuple[Any, Any]:
        self._model.now = await self._adapter.now()
        given = expected = error = expected_error = None
        try:
            given = await what
        except SequentialError as raised:
            error = raised
        try:
            expected = model()
        except SequentialError as raised:
            expected_error = raised
        if type(error) is not type(expected_error):
            raise AssertionError(f"the backend raised {error!r}, the model {expected_error!r}") from error
        await self._compare(given, expected)
        await self._everything_is_the_same()
        return given or (), expected or ()

    async def _everything_is_the_same(self) -> None:
        for kind in (TaskRun, StackRun):
            given = await self._all_pages(kind, {}, order_by="id")
            await self._compare(given, self._model.query(kind, {}, "id", False))

    async def _all_pages(self, kind: type, filter: Fields, **options: Any) -> list[Any]:
        ask: Any = self._adapter.query_task_runs if kind is TaskRun else self._adapter.query_stack_runs
        page = await ask(filter, **options)
        found = list(page)
        while page.cursor is not None:
            page = await ask(filter, cursor=page.cursor, **options)
            found += page
        return found

    async def _compare(self, given: Any, expected: Any) -> None:
        now = await self._adapter.now()
        assert now >= self._model.now, "the store's clock went back"
        assert plain(given, self._started, now) == plain(expected, self._started, now)
