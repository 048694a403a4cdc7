"""What the engine offers about schedules."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sequential_adaptor.engine.schedules import desk
from sequential_adaptor.engine.schedules.desk import Schedule
from sequential_adaptor.engine.schedules.settings import GRACE, ScheduleSettings
from sequential_adaptor.values import JSON


class Scheduling:
    """Schedules: each firing exactly one run, whatever the number of workers and crashes."""

    adapter: Any

    async def schedule(
        self,
        name: str,
        task: str,
        input: JSON = None,
        *,
        cron: str | None = None,
        zone: str = "UTC",
        every: timedelta | None = None,
        start: datetime | None = None,
        missed: str = "latest",
        grace: timedelta = GRACE,
        overlap: str = "allow",
        queue: str | None = None,
        priority: int | None = None,
        key: str | None = None,
        paused: bool = False,
    ) -> Schedule:
        """Start a run of a task function by the clock, from now on; another schedule of that name is replaced.

        It is by the store's clock, and the function's version is the current one of that time. The id of each run is
        the schedule's name and its time, ``nightly-20260329T010000Z``.

        - ``cron`` in the time zone ``zone``, or ``every`` so much time, counted from ``start``.
        - ``missed``: of the times that nobody was there for, more than ``grace`` ago, the ``"latest"`` is made up, or
          ``"all"`` (the last 100 at most), or none (``"skip"``).
        - ``overlap``: ``"skip"`` starts none while the run before has not ended, ``"allow"`` does.
        - ``queue``, ``priority`` and ``key`` are as in :meth:`submit`.
        """
        settings = ScheduleSettings(
            task=task,
            input=input,
            cron=cron,
            zone=zone,
            every=every,
            start=start if every is None or start is not None else await self.adapter.now(),
            missed=missed,
            grace=grace,
            overlap=overlap,
            queue=queue,
            priority=priority,
            key=key,
            paused=paused,
        )
        return await desk.set_schedule(self.adapter, name, settings)

    async def schedules(self) -> list[Schedule]:
        """All schedules, by name."""
        return await desk.find_all(self.adapter)

    async def find_schedule(self, name: str) -> Schedule:
        """The schedule of that name as it is now, or :class:`ScheduleNotFound`."""
        return await desk.find(self.adapter, name)

    async def pause_schedule(self, name: str) -> Schedule:
        """Start nothing until it is resumed."""
        return await desk.change(self.adapter, name, lambda settings: replace(settings, paused=True))

    async def resume_schedule(self, name: str) -> Schedule:
        """Go on with the next time; those in between are not made up."""
        return await desk.change(self.adapter, name, lambda settings: replace(settings, paused=False))

    async def delete_schedule(self, name: str) -> None:
        """Forget a schedule; the runs that it has started stay as they are."""
        await desk.delete(self.adapter, name)

    async def next_times(self, name: str, count: int = 5) -> list[datetime]:
        """The next times at which a schedule fires; none while it is paused."""
        return await desk.coming(self.adapter, name, count)
