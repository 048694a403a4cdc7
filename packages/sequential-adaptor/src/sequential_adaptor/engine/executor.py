"""Stop-and-go: the documented use without a worker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from sequential_adaptor import ids, values
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.holding.holder import Manner
from sequential_adaptor.engine.holding.tools import Tools
from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.retention.tombstones import check_id_is_free
from sequential_adaptor.engine.worker import new_service_client, opened, worker_name
from sequential_adaptor.engine.working.dispatching import Dispatcher
from sequential_adaptor.errors import (
    ConfigurationError,
    Conflict,
    RecordExists,
    RecordNotFound,
    TaskBusy,
    TaskCancelled,
    TaskFailed,
    TaskFunctionNotFound,
)
from sequential_adaptor.lifecycles import STACK_RUN, TASK_RUN
from sequential_adaptor.outcomes import Outcome
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun, as_record, version_of
from sequential_adaptor.runners.base import Call, CallResults, Completed, Suspended
from sequential_adaptor.storage.changes import Wake
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.services import ServiceClient
    from sequential_adaptor.storage import StorageAdapter

STOP_AND_GO = Manner(hand_out="all", linger=0.0)
NOTHING = object()
"""No value, where ``None`` is one."""


class StopAndGo:
    """What the executor and the processor have in common.

    ``storage`` is an open adapter, a storage URL, or ``None`` for the default; ``lease`` is in seconds.
    """

    def __init__(
        self,
        storage: StorageAdapter | str | None = None,
        service_client: ServiceClient | None = None,
        *,
        lease: float = 30.0,
    ) -> None:
        self._storage = storage
        self._services = service_client
        self._lease = lease
        self._worker = worker_name()

    @contextlib.asynccontextmanager
    async def _bench(self) -> AsyncIterator[Workbench]:
        async with contextlib.AsyncExitStack() as stack:
            store = await stack.enter_async_context(opened(self._storage))
            services = self._services
            if services is None:
                services = await stack.enter_async_context(new_service_client())
            tools = Tools(store, services)
            stack.push_async_callback(tools.close)
            bench = Workbench(store, tools, hands=32)
            await bench.open()
            yield bench


class TaskExecutor(StopAndGo):
    """Moves one task on until it ends, or waits for calls that any process may perform.

    Whatever it returns or raises, its claim has been given back.
    """

    async def execute(
        self, task_run: TaskRun | Mapping[str, Any] | str, code: str | None = None
    ) -> Completed | Suspended:
        """Begin a run, or go on with it where it is, and return when it has ended or when all its calls are stored.

        ``task_run`` is the run, stored or not, or its id; ``code`` is its source where no task function is stored for
        it. Calls that only this process can perform (with secrets, Python functions) are performed here. Raises
        :class:`TaskFailed`, :class:`TaskCancelled`, or :class:`TaskBusy` where somebody else holds the task.
        """
        async with self._bench() as bench:
            run = await self._stored(bench, task_run, code)
            return await self._move(bench, run)

    async def resume(
        self,
        task_run: TaskRun | str,
        resume_payload: JSON | CallResults = NOTHING,
        code: str | None = None,
        parent_stack_run_id: str | None = None,
    ) -> Completed | Suspended:
        """Go on with a run that waits, giving it the value of its one outstanding call, or ``CallResults`` for several.

        A call whose outcome is stored already keeps it, and with no value at all the run goes on with what is stored.
        Where somebody else holds the frame nothing is stored, and :class:`TaskBusy` is raised.
        ``parent_stack_run_id`` is the frame that waits, the root frame by default.
        """
        async with self._bench() as bench:
            run = await self._stored(bench, task_run, code)
            await self._give(bench, run, parent_stack_run_id or run.id, resume_payload)
            return await self._move(bench, run)

    async def _stored(self, bench: Workbench, task_run: TaskRun | Mapping[str, Any] | str, code: str | None) -> TaskRun:
        """The run as it is stored; stored now where it is not."""
        given = TaskRun(id=task_run) if isinstance(task_run, str) else as_record(TaskRun, task_run)
        found = await bench.store.get_task_run(given.id) if given.id else None
        if found is None and isinstance(task_run, str):
            raise RecordNotFound("TaskRun", task_run)
        run = found or given
        function = await self._function(bench, run, code)
        if found is None:
            if given.id:
                await check_id_is_free(bench.store, given.id)
            run_id = given.id or ids.new_id()
            await bench.commit(rules.submission(function, run_id, given.input, metadata=given.metadata))
            run = await self._reread(bench, run_id)
        elif not run.version:
            run = await bench.store.update_task_run(run.id, version=function.version)
        await self._root_frame(bench, run)
        return run

    async def _function(self, bench: Workbench, run: TaskRun, code: str | None) -> TaskFunction:
        if code is not None and (not run.version or run.version == version_of(code)):
            current = await bench.store.get_task_function(run.task_identifier)
            if current is not None and current.code == code:
                return current
            return await bench.store.store_task_function(run.task_identifier, code, run.runner)
        function = await bench.store.get_task_function(run.task_identifier, run.version or None)
        if function is None:
            raise TaskFunctionNotFound(run.task_identifier, run.version or None)
        return function

    async def _root_frame(self, bench: Workbench, run: TaskRun) -> None:
        """A run that was stored by itself (``create_task_run``) gets the frame that it begins with."""
        if run.status not in TASK_RUN.ended and await bench.store.get_stack_run(run.id) is None:
            with contextlib.suppress(RecordExists):  # somebody else was quicker
                await bench.store.create_stack_run(rules.root_frame(run.id))

    async def _move(self, bench: Workbench, run: TaskRun) -> Completed | Suspended:
        if run.status not in TASK_RUN.ended:
            await self._carry(bench, run.id)
            run = await self._reread(bench, run.id)
        return ended(run) if run.status in TASK_RUN.ended else await self._suspended(bench, run)

    async def _carry(self, bench: Workbench, id: str) -> None:
        """Go on with the frame; one that only waits is woken, so that what has arrived is looked at."""
        dispatcher = Dispatcher(bench, self._worker, concurrency=1, lease=self._lease, manner=STOP_AND_GO)
        if not await dispatcher.see_to([id]):
            await bench.commit((Wake(id),))
            if not await dispatcher.see_to([id]):
                frame = await self._frame(bench, id)
                if frame.status in STACK_RUN.ended:  # a moment ago, by somebody else
                    return
                raise TaskBusy(id, frame.worker, frame.lease_expires_at)

    async def _suspended(self, bench: Workbench, run: TaskRun) -> Suspended:
        frame = await self._frame(bench, run.id)
        waiting = await _waiting(bench, frame)
        calls = tuple(Call(call.sequence or 0, call.operation, call.input, call.options) for call in waiting)
        return Suspended(state=frame.state, calls=calls)

    async def _frame(self, bench: Workbench, id: str) -> StackRun:
        frame = await bench.store.get_stack_run(id)
        if frame is None:
            raise RecordNotFound("StackRun", id)
        return frame

    async def _give(self, bench: Workbench, run: TaskRun, frame_id: str, payload: JSON | CallResults) -> None:
        """Record the outcomes that were brought along, for calls that have none yet."""
        frame = await self._frame(bench, frame_id)
        if frame.is_held(bench.clock.now()):
            raise TaskBusy(frame_id, frame.worker, frame.lease_expires_at)
        waiting = await _waiting(bench, frame)
        for call, outcome in _matched(run, waiting, payload):
            after = rules.call_ended(call, outcome, bench.clock.now())
            with contextlib.suppress(Conflict):  # it has an outcome by now, which stands
                await bench.commit(rules.outcome_stored(call, after))

    async def _reread(self, bench: Workbench, id: str) -> TaskRun:
        run = await bench.store.get_task_run(id)
        if run is None:
            raise RecordNotFound("TaskRun", id)
        return run


async def _waiting(bench: Workbench, frame: StackRun) -> list[StackRun]:
    """The calls below a frame that have no outcome, in the order in which the code made them."""
    calls = [call for call in await bench.history(frame) if call.sequence is not None]
    return sorted((call for call in calls if call.status not in STACK_RUN.ended), key=lambda call: call.sequence or 0)


def _matched(run: TaskRun, waiting: list[StackRun], payload: JSON | CallResults) -> list[tuple[StackRun, Outcome]]:
    if isinstance(payload, CallResults):
        values_by_call = {sequence: Outcome(result=value) for sequence, value in payload.results.items()}
        errors = {sequence: Outcome(error=error) for sequence, error in payload.errors.items()}
        outcomes = values_by_call | errors
        return [(call, outcomes[call.sequence]) for call in waiting if call.sequence in outcomes]
    if payload is NOTHING or not waiting:
        return []
    values.check(payload, "resume_payload")
    if len(waiting) > 1:
        names = ", ".join(f"{call.sequence} ({call.operation})" for call in waiting)
        raise ConfigurationError(
            f"run {run.id} waits for several calls: {names}; say whose value it is with CallResults"
        )
    return [(call, Outcome(result=payload)) for call in waiting]


def ended(run: TaskRun) -> Completed:
    """The result of a run that has ended, or its error."""
    if run.status == "failed":
        raise TaskFailed(run.id, run.error)
    if run.status == "cancelled":
        raise TaskCancelled(run.id)
    return Completed(run.result)
