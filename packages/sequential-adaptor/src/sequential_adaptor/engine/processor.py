"""The other half of stop-and-go: performs what tasks wait for, and moves them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sequential_adaptor.engine.executor import STOP_AND_GO, StopAndGo
from sequential_adaptor.engine.working.dispatching import Dispatcher
from sequential_adaptor.records import StackRun

if TYPE_CHECKING:
    from sequential_adaptor.engine.holding.workbench import Workbench

_ROUND = 1_000


class StackProcessor(StopAndGo):
    """Performs due calls and moves their tasks on, a round each time it is asked.

    ``while await processor.process_pending(): ...`` carries everything as far as it goes now. Several processors and
    workers may share a store whose adapter is ``atomic``.
    """

    async def process_pending(self) -> int:
        """Perform the calls that are due now, go on with the tasks that waited for them, and recover frames whose lease
        ended.

        Returns how many stack runs were moved, 0 where nothing was due. Calls that tasks make meanwhile are left to the
        next round, those apart that only this process can perform.
        """
        async with self._bench() as bench:
            return await self._round(bench, None)

    async def process_stack_run(self, stack_run: StackRun | str) -> int:
        """The same for one stack run, if it is due."""
        async with self._bench() as bench:
            return await self._round(bench, [stack_run if isinstance(stack_run, str) else stack_run.id])

    async def _round(self, bench: Workbench, ids: list[str] | None) -> int:
        dispatcher = Dispatcher(bench, self._worker, concurrency=_ROUND, lease=self._lease, manner=STOP_AND_GO)
        claimed = await dispatcher.see_to(ids, limit=_ROUND)
        parents = {found.parent_stack_run_id for found in claimed if found.parent_stack_run_id is not None}
        if parents:
            await dispatcher.see_to(sorted(parents), limit=_ROUND)
        return dispatcher.moved
