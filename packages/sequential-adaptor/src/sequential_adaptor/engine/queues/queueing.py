"""What the engine offers about queues."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from sequential_adaptor.engine.queues import desk
from sequential_adaptor.engine.queues.desk import Queue
from sequential_adaptor.engine.queues.settings import QueueSettings, Rate

if TYPE_CHECKING:
    pass

UNCHANGED: Final = cast(Any, object())
"""A setting that stays as it is."""


class Queueing:
    """Queues: stored, so that all workers agree, and changed while they are in use."""

    adapter: Any

    async def set_queue(
        self,
        name: str,
        *,
        limit: int | None = UNCHANGED,
        per_worker: int | None = UNCHANGED,
        rate: tuple[int, timedelta] | Rate | None = UNCHANGED,
        paused: bool = UNCHANGED,
    ) -> QueueSettings:
        """Make a queue, or change one; what is not named stays as it is, ``None`` takes a limit away.

        - ``limit``: how many of its runs are on their way at once, over all workers.
        - ``per_worker``: how many a worker carries at once.
        - ``rate``: how many are admitted per period: ``(100, timedelta(minutes=1))``.
        - ``paused``: nothing is admitted.

        What was admitted before stays admitted.
        """
        given = {"limit": limit, "per_worker": per_worker, "rate": rate, "paused": paused}
        return await desk.set_queue(self.adapter, name, {k: v for k, v in given.items() if v is not UNCHANGED})

    async def queue(self, name: str) -> Queue:
        """The queue of that name as it is now, or :class:`QueueNotFound`."""
        return await desk.find(self.adapter, name)

    async def queues(self) -> list[Queue]:
        """All queues, by name."""
        return await desk.find_all(self.adapter)

    async def pause_queue(self, name: str) -> None:
        """Admit nothing more; what is on its way goes on."""
        await desk.change(self.adapter, name, {"paused": True})

    async def resume_queue(self, name: str) -> None:
        """Admit again."""
        await desk.change(self.adapter, name, {"paused": False})

    async def delete_queue(self, name: str) -> None:
        """Forget a queue; one that has runs waiting or on their way is not."""
        await desk.delete(self.adapter, name)
