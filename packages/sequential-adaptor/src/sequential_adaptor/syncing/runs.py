"""Runs on their way: those that have ended are copied, the others moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sequential_adaptor import ids
from sequential_adaptor.errors import Conflict, NotOffered, RecordNotFound, TaskError
from sequential_adaptor.records import StackRun, TaskRun
from sequential_adaptor.storage import Change, StorageAdapter
from sequential_adaptor.syncing import rules
from sequential_adaptor.syncing.belongings import Functions
from sequential_adaptor.syncing.queues import Queues, is_queue
from sequential_adaptor.syncing.reading import PAGE, Whole, family, whole
from sequential_adaptor.syncing.summary import Summary

_TRIES = 5
_NAMED = 5


class RunsInFlight(TaskError):
    """Workers hold runs that are to be moved; nothing was written."""

    def __init__(self, held: Sequence[StackRun]) -> None:
        self.held = tuple(held)
        runs = dict.fromkeys(row.task_run_id for row in held)
        named = ", ".join([*runs][:_NAMED]) + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")
        workers = ", ".join(sorted({row.worker or "?" for row in held})[:_NAMED])
        until = max(row.lease_expires_at for row in held if row.lease_expires_at is not None)
        super().__init__(
            f"in flight at the source: {named} (held by {workers}; free at {until:%H:%M:%S} UTC if they are heard of"
            " no more)"
        )


class RunMover:
    """Takes the runs of one store to another. ``where`` is what people are told of the target.

    With ``ended_only`` those that have not ended are left open.
    """

    def __init__(
        self,
        source: StorageAdapter,
        target: StorageAdapter,
        functions: Functions,
        where: str,
        summary: Summary,
        *,
        ended_only: bool = False,
    ) -> None:
        self._source, self._target, self._functions = source, target, functions
        self._where, self._summary, self._ended_only = where, summary, ended_only
        self._queues = Queues(source, target, summary)
        self._settled: set[str] = set()

    async def take(self, run: TaskRun) -> None:
        """Copy or move a run; one that cannot be is left as it is, and said to be."""
        if run.id in self._settled:
            return
        left = rules.move_of_left(run)
        if is_queue(run):
            await self._queues.bring(run.id)
        elif left is not None:
            await self._release(run, left)
        elif rules.has_ended(run):
            await self._copy(run)
        elif self._ended_only:
            self._summary.left_open += 1
        else:
            await self._move(run.id)
        self._settled.add(run.id)

    # ---- what has ended

    async def _copy(self, run: TaskRun) -> None:
        there = await self._target.get_task_run(run.id)
        if there is not None and rules.is_same(there, run):
            self._summary.there += 1  # the run is written last: all of it is there
            return
        found = await whole(self._target, run.id)
        if not _may_be_replaced(found):
            self._refuse(run.id, "the target has another run of that id")
            return
        given, now = await whole(self._source, run.id), await self._source.get_task_run(run.id)
        if now is None:
            return  # it was deleted since its page was read
        if not rules.is_same(now, run):  # it was retried: what it is by now decides
            await self.take(now)
            return
        try:
            await self._arrive(given, found, "")
        except Conflict:
            self._refuse(run.id, "it was changed at the target meanwhile")
        else:
            self._summary.copied += 1

    # ---- what has not

    async def _move(self, run_id: str) -> None:
        for _ in range(_TRIES):
            members = await family(self._source, run_id)
            if not members:
                await self._take_again(run_id)
                return
            if await self._is_refused(members):
                return
            move = ids.new_id()
            try:
                await self._move_together(members, move)
            except (Conflict, RecordNotFound):
                await self._forget_deleted(members, move)
            else:
                return
        self._refuse(run_id, "something happens to it at the source all the time; stop the workers there")

    async def _take_again(self, run_id: str) -> None:
        """It has ended meanwhile, or was deleted."""
        run = await self._source.get_task_run(run_id)
        if run is not None:
            await self.take(run)

    async def _is_refused(self, members: Mapping[str, Whole]) -> bool:
        now = await self._source.now()
        for id, member in members.items():
            if any(rules.is_held(row, now) for row in member.rows):
                reason = f"run {id} was taken up by a worker at the source meanwhile; stop the workers there"
            elif not _may_be_replaced(await whole(self._target, id)):
                reason = f"the target has another run of the id {id}"
            elif (queue := await self._queues.missing(member.rows)) is not None:
                reason = f"its queue {queue!r} is at neither side; make it at the target: sequential queue set {queue}"
            else:
                continue
            for one in members:
                self._refuse(one, reason)
            return True
        return False

    async def _move_together(self, members: Mapping[str, Whole], move: str) -> None:
        now = await self._source.now()
        changes: list[Change] = []
        for id, member in members.items():
            await self._arrive(member, await whole(self._target, id), move)
            if member.run is not None:
                changes += rules.leaving(member.run, member.rows, move, self._where, now)
                changes += await self._queues.news(member.rows)
        await self._source.commit(changes, id=move)
        for id in members:
            await self._set_free(id)
            self._settled.add(id)
            self._summary.moved.append(id)

    async def _forget_deleted(self, members: Mapping[str, Whole], move: str) -> None:
        """A run that was deleted at the source while it moved does not stay parked at the target."""
        for id in members:
            if await self._source.get_task_run(id) is None:
                found = await whole(self._target, id)
                if move in {rules.move_of_parked(row) for row in found.rows}:
                    await self._delete(id)

    async def _delete(self, run_id: str) -> None:
        try:
            await self._target.delete_task_run(run_id)
        except NotOffered:
            self._refuse(
                run_id, "it was deleted at the source on its way, and rests at the target, which cannot delete"
            )

    async def _release(self, run: TaskRun, move: str) -> None:
        """A run has left the source before: what is parked of it here by the same move is set free."""
        found = await whole(self._target, run.id)
        parked = {rules.move_of_parked(row) for row in found.rows} - {None}
        if found.run is None or not parked:  # it went on there; where it was forgotten since, its remains stay here
            self._summary.there += 1
        elif parked == {move}:
            await self._set_free(run.id)
            self._summary.moved.append(run.id)
        else:
            self._refuse(run.id, "it left the source by another sync than the one that has brought it here")

    async def _set_free(self, run_id: str) -> None:
        found = await whole(self._target, run_id)
        await self._queues.missing(found.rows)
        if changes := rules.released(found.rows):
            await self._target.commit(changes, id=ids.new_id())

    # ---- both

    async def _arrive(self, given: Whole, found: Whole, move: str) -> None:
        """Write a run to the target: what it needs first, then its stack runs, the run last."""
        assert given.run is not None
        await self._functions.bring(given.run.task_identifier, given.run.version)
        rows: list[TaskRun | StackRun] = [*(rules.travelling(row, move) for row in given.rows), given.run]
        changes = rules.arriving(rows, found.present)
        for begin in range(0, len(changes), PAGE):
            await self._target.commit(changes[begin : begin + PAGE], id=ids.new_id())
        self._summary.calls += sum(not row.is_frame for row in given.rows)

    def _refuse(self, run_id: str, reason: str) -> None:
        self._settled.add(run_id)
        self._summary.refused[run_id] = reason


def _may_be_replaced(found: Whole) -> bool:
    """Whether what the target has is nothing, a run that has left it, or what a sync that was interrupted left."""
    if found.run is None or rules.move_of_left(found.run) is not None:
        return True
    return any(rules.move_of_parked(row) is not None for row in found.rows)
