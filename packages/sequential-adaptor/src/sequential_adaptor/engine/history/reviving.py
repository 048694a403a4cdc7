"""Retries: runs that have failed go on at the call that they failed by, and so do the children that failed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sequential_adaptor import ids
from sequential_adaptor.engine import rules
from sequential_adaptor.engine.history.points import Story, call_at, check_runner_goes_back, current_version, read_story
from sequential_adaptor.engine.history.readmission import entry
from sequential_adaptor.engine.retention.policy import is_condemned
from sequential_adaptor.errors import CannotGoBack, Conflict, IllegalTransition, RecordNotFound
from sequential_adaptor.lifecycles import TASK_RUN
from sequential_adaptor.records import StackRun, TaskRun

if TYPE_CHECKING:
    from sequential_adaptor.storage import Change, StorageAdapter

_TRIES: Final = 10


async def retry(store: StorageAdapter, run_id: str, *, at: int | str | None = None, latest: bool = False) -> list[str]:
    """Take a failed run back, in one commit, and give the ids of the calls that go on; see :meth:`RunHandle.retry`."""
    tries = 0
    while True:
        tries += 1
        revival = Revival(store, latest)
        story = await read_story(store, run_id)
        await _check_may_go_on(store, story)
        calls = rules.culprits(story.run, story.rows) if at is None else [call_at(story, at)]
        try:
            await revival.add(story, calls)
            await store.commit(revival.changes, id=ids.new_id())
            return revival.again
        except (Conflict, IllegalTransition, RecordNotFound):  # what was read has moved, or is gone, since
            if tries == _TRIES:
                raise


class Revival:
    """The changes by which a run and its children go on; ``again`` are the ids of the calls that are made once more."""

    def __init__(self, store: StorageAdapter, latest: bool) -> None:
        self._store = store
        self._latest = latest
        self.changes: list[Change] = []
        self.again: list[str] = []

    async def add(self, story: Story, calls: Sequence[StackRun]) -> None:
        """Take a run back to before these, and first its children."""
        check_runner_goes_back(story, [call for call in calls if call.sequence is not None])
        back = rules.retreat(story.rows, calls)
        if story.run.parent_stack_run_id is not None:
            back = back.without_cancels()
        for call in filter(rules.is_child, [*back.again]):
            back = await self._with_child(story, back, call)
        version = await current_version(self._store, story.run) if self._latest else story.run.version
        now = await self._store.now()
        queued = await entry(self._store, story.frame, now)
        self.changes += rules.retried(story.run, story.frame, story.everything, back, version, queued.fields, now)
        self.changes += queued.news
        self.again += [call.id for call in back.again if not rules.is_child(call)]

    async def _with_child(self, parent: Story, back: rules.Retreat, call: StackRun) -> rules.Retreat:
        """The child of a call goes on as well. Where it cannot, the call is made anew, and starts another."""
        child = await self._store.get_task_run(rules.child_id(call))
        if child is None or child.parent_stack_run_id != call.id:
            return back.without(call)
        if child.status == "completed":  # although its parent waited no longer
            self.changes.append(rules.found_ended(call, child, await self._store.now()))
            return back.leaving(call)
        if child.status not in TASK_RUN.ended:
            raise CannotGoBack(
                parent.run.id,
                f"has a child, {child.id}, that was asked to end and has not ended yet; retry it then",
            )
        story = await read_story(self._store, child.id)
        calls = _what_ended(story)
        if calls is None or is_condemned(story.frame):
            return back.without(call)
        await self.add(story, calls)
        return back


def _what_ended(story: Story) -> list[StackRun] | None:
    """The calls that a run failed by, or the cancel that it was asked by; ``None`` where it was ended by force."""
    if story.run.status == "failed":
        return rules.culprits(story.run, story.rows)
    return [row for row in story.rows if row.operation == rules.CANCEL] or None


async def _check_may_go_on(store: StorageAdapter, story: Story) -> None:
    run = story.run
    if run.status not in TASK_RUN.ended:
        raise CannotGoBack(run.id, f"has not ended; it is {run.status}, and goes on by itself")
    if run.status != "failed":
        raise CannotGoBack(
            run.id,
            f"has not failed; it is {run.status}. Begin a new run with its history: sequential fork {run.id} --at CALL",
        )
    if is_condemned(story.frame):
        raise CannotGoBack(run.id, "is being pruned, and cannot go on any more")
    parent = await _parent_of(store, run)
    if parent is not None:
        raise CannotGoBack(
            run.id,
            f"is a child of {parent}, which has its failure by now. Retry that: sequential retry {parent}; or begin a"
            f" new run: sequential fork {run.id} --at CALL",
        )


async def _parent_of(store: StorageAdapter, run: TaskRun) -> str | None:
    if run.parent_stack_run_id is None:
        return None
    call = await store.get_stack_run(run.parent_stack_run_id)
    return None if call is None else call.task_run_id
