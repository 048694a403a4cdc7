"""Carries out a schedule: whoever holds the claim of its frame starts what is due, and nobody else does."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sequential_adaptor.engine.holding.workbench import Workbench
from sequential_adaptor.engine.queues import desk as queues
from sequential_adaptor.engine.queues import places
from sequential_adaptor.engine.queues.settings import Place
from sequential_adaptor.engine.rules.steps import GIVEN_BACK
from sequential_adaptor.engine.schedules import firing
from sequential_adaptor.engine.schedules.firing import Progress
from sequential_adaptor.engine.schedules.settings import ScheduleSettings, name_of, run_id
from sequential_adaptor.errors import ClaimLost, Conflict, RecordNotFound, SequentialError, TaskFunctionNotFound
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskFunction, time_to_text
from sequential_adaptor.storage.changes import Change, Claim, Update

logger = logging.getLogger("sequential_adaptor")

SCHEDULE: Final = "schedule"
"""Where the ``options`` of a schedule's frame have its settings."""
_TRIES: Final = 20
_AFTER_A_PROBLEM: Final = timedelta(seconds=30)


class Clerk:
    """One claim of a schedule's frame."""

    def __init__(self, bench: Workbench, claim: Claim) -> None:
        self._bench = bench
        self._claim = claim
        self._frame = claim.stack_run
        self._name = name_of(claim.stack_run.id)

    async def serve(self) -> None:
        """Start the runs that are due, and say when the next one is: all in one commit."""
        for _ in range(_TRIES):
            try:
                await self._fire()
            except (Conflict, RecordNotFound):  # the schedule was changed, or its queue deleted, at this very moment
                frame = await self._bench.store.get_stack_run(self._frame.id)
                if frame is None:  # it was deleted, and the claim is gone with it
                    raise ClaimLost(self._frame.id, self._claim.token) from None
                self._frame = frame
            else:
                return
        await self._commit((), Progress.from_json(self._frame.state), self._bench.clock.now())

    async def _fire(self) -> None:
        settings = ScheduleSettings.from_json(self._frame.options[SCHEDULE])
        progress = Progress.from_json(self._frame.state)
        now = await self._bench.store.now()
        overlaps = settings.overlap == "skip" and await self._is_on_its_way(progress.last_run)
        times = firing.fires(settings, progress, now, overlaps=overlaps)
        try:
            changes = await self._starts(settings, times)
        except SequentialError as problem:
            logger.warning("schedule %s could not start a run: %s", self._name, problem)
            await self._commit((), replace(progress, problem=str(problem)), now + _AFTER_A_PROBLEM)
            return
        last = run_id(self._name, times[-1]) if times else progress.last_run
        after = Progress(firing.after(settings, progress, now), last)
        await self._commit(changes, after, None if settings.paused else after.next)

    async def _starts(self, settings: ScheduleSettings, times: list[datetime]) -> list[Change]:
        if not times:
            return []
        function = await self._bench.store.get_task_function(settings.task)
        if function is None:
            raise TaskFunctionNotFound(settings.task)
        place = queues.place_of(function.metadata, settings.queue, settings.priority, settings.key)
        if place is not None:
            await queues.check_place(self._bench.store, place)
        changes: list[Change] = []
        for time in times:
            changes += await self._start(function, settings, time, place)
        return changes

    async def _start(
        self, function: TaskFunction, settings: ScheduleSettings, time: datetime, place: Place | None
    ) -> tuple[Change, ...]:
        """The run of a time; nothing where there is one of that id, which this schedule, or a user, has made."""
        id = run_id(self._name, time)
        if await self._bench.store.get_task_run(id) is not None:
            logger.warning("schedule %s: there is a run %s already, so none is started", self._name, id)
            return ()
        self._bench.watch(id)
        about = {"schedule": self._name, "time": time_to_text(time)}
        return places.submission(function, id, settings.input, place=place, metadata=about)

    async def _is_on_its_way(self, id: str | None) -> bool:
        run = None if id is None else await self._bench.store.get_task_run(id)
        return run is not None and run.status not in TASK_RUN.ended

    async def _commit(self, changes: list[Change] | tuple[()], progress: Progress, due_at: datetime | None) -> None:
        fields: dict[str, Any] = {
            "state": progress.to_json(),
            "due_at": due_at,
            "progress_token": self._frame.token,
            **GIVEN_BACK,
        }
        update = Update(StackRun, self._frame.id, fields, {"options": self._frame.options})
        await self._bench.commit((*changes, update), self._claim)
