"""What an engine does with runs that have a past: forks, retries, pruning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sequential_adaptor import ids
from sequential_adaptor.engine.handle import RunHandle

if TYPE_CHECKING:
    from sequential_adaptor.engine.retention.pruning import Pruned
    from sequential_adaptor.storage import StorageAdapter


class Past:
    """Methods of :class:`Engine`."""

    @property
    def adapter(self) -> StorageAdapter:
        """The open store."""
        raise NotImplementedError

    async def fork(
        self,
        run_id: str,
        at: int | str,
        changes: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        latest: bool = False,
    ) -> RunHandle:
        """A new run with the history of another up to a call; see :meth:`RunHandle.fork`."""
        return await self._run(run_id).fork(at, changes, id=id, latest=latest)

    async def retry(self, run_id: str, at: int | str | None = None, *, latest: bool = False) -> RunHandle:
        """Go on with a run that has failed; see :meth:`RunHandle.retry`."""
        handle = self._run(run_id)
        await handle.retry(at, latest=latest)
        return handle

    async def prune(
        self,
        older_than: timedelta,
        *,
        status: Collection[str] | str | None = None,
        task: str | None = None,
        dry_run: bool = False,
        progress: Callable[[Pruned], None] | None = None,
    ) -> Pruned:
        """Forget the runs that ended longer ago than that, with all that is stored of them.

        Of all statuses of runs that have ended, or of those; of one ``task``, or of all. A run stays that something
        needs: a child whose parent has not ended, a run whose ``sync`` may have to be finished. Of a run whose id
        somebody chose the id is kept, and :meth:`submit` refuses it. ``dry_run`` forgets nothing. ``progress`` is
        called now and then.
        """
        from sequential_adaptor.engine.retention.policy import Retention
        from sequential_adaptor.engine.retention.pruning import Pruner  # not needed to run tasks

        statuses = {} if status is None else {"statuses": [status] if isinstance(status, str) else [*status]}
        pruner = Pruner(self.adapter, Retention(older_than, task=task, **statuses), dry_run=dry_run)
        async for found in pruner.bites():
            if progress is not None:
                progress(found)
        return pruner.found

    async def reuse_id(self, run_id: str) -> bool:
        """Let the id of a run that was pruned be used again; ``False`` where it was not kept."""
        from sequential_adaptor.engine.retention.tombstones import lift  # not needed to run tasks

        return await lift(self.adapter, ids.check_run_id(run_id))

    def _run(self, run_id: str) -> RunHandle:
        return RunHandle(self.adapter, ids.check_run_id(run_id))
