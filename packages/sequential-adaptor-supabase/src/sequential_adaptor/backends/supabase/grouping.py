"""Commits that are asked for side by side go in one call: one transaction, one flush, one round trip."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from sequential_adaptor.backends.supabase.commits import Commit
from sequential_adaptor.backends.supabase.door import Door, Refused
from sequential_adaptor.backends.supabase.plain import Sorted, parts_of

_LARGEST_GROUP: Final = 64
_MOST_TEXT: Final = 1_000_000
"""Characters in one group, so that a large payload holds up its neighbours no longer than it must."""


class Writer:
    """Writes commits in the order in which they were asked for; those that come while a group is on its way are the
    next one. ``brought_work`` is called after a group that may have made something due."""

    def __init__(self, door: Door, brought_work: Callable[[], None]) -> None:
        self._door = door
        self._brought_work = brought_work
        self._asked: deque[tuple[Commit, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._alone: asyncio.Future[None] | None = None
        self._last_was_alone = False

    async def write(self, commit: Commit) -> None:
        """Return when it is written, or raise what says why not. A caller that is cancelled stops nothing."""
        if self._last_was_alone and self._writing is None and self._alone is None:
            await self._write_alone(commit)
        else:
            done = self._ask(commit)
            self._go_on()
            await done

    async def close(self) -> None:
        """Let what was asked for be written."""
        while (last := self._writing or self._alone) is not None:
            await asyncio.wait((last,))

    def _ask(self, commit: Commit, *, first: bool = False) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._asked.appendleft if first else self._asked.append)((commit, done))
        return done

    def _go_on(self) -> None:
        if self._asked and self._writing is None and self._alone is None:
            self._writing = asyncio.create_task(self._write_all())

    async def _write_alone(self, commit: Commit) -> None:
        """Send it from here: to whoever commits one by one, a task for each would be a good part of the time."""
        self._alone = over = asyncio.get_running_loop().create_future()
        try:
            refusals = await self._send([commit])
        except asyncio.CancelledError:
            self._ask(commit, first=True).cancel()  # it is written all the same, and nobody waits for it
            raise
        finally:
            self._alone = None
            self._last_was_alone = not self._asked
            self._go_on()
            over.set_result(None)
        if commit in refusals:
            raise refusals[commit]
        if commit.brings_work:
            self._brought_work()

    async def _write_all(self) -> None:
        try:
            while self._asked:
                group = self._next_group()
                await self._write_group(group)
                self._last_was_alone = len(group) == 1
        finally:
            self._writing = None

    def _next_group(self) -> list[tuple[Commit, asyncio.Future[None]]]:
        group = [self._asked.popleft()]
        size = group[0][0].size
        while self._asked and len(group) < _LARGEST_GROUP and size + self._asked[0][0].size <= _MOST_TEXT:
            size += self._asked[0][0].size
            group.append(self._asked.popleft())
        return group

    async def _write_group(self, group: list[tuple[Commit, asyncio.Future[None]]]) -> None:
        try:
            refusals = await self._send([commit for commit, _ in group])
        except BaseException as error:
            for _, done in group:
                _end(done, error)
            if not isinstance(error, Exception):
                raise
            return
        for commit, done in group:
            _end(done, refusals.get(commit))
        if any(commit.brings_work for commit, _ in group):
            self._brought_work()

    async def _send(self, commits: list[Commit]) -> Mapping[Commit, BaseException]:
        """Send them: the plain ones at once, all of them one by one where anything is refused. Why which were."""
        found = Sorted(commits)
        try:
            return await self._call(found.plain, found.others, apart=False)
        except Refused:
            return await self._call([], commits, apart=True)

    async def _call(self, plain: list[Commit], others: list[Commit], *, apart: bool) -> Mapping[Commit, BaseException]:
        arguments = {
            "plain": parts_of(plain),
            "commits": f"[{','.join(commit.text for commit in others)}]",
            "locks": _locks([*plain, *others]) if others else "{}",
            "apart": apart,
        }
        answers = await self._door.call("sequential_commit", arguments)
        told = zip(others, answers, strict=True)
        return {commit: _refusal(commit, answer) for commit, answer in told if answer["outcome"] == "refused"}


def _locks(commits: list[Commit]) -> str:
    """What is to be locked beforehand, as an array of Postgres: ids need no quotes. One row needs no order."""
    ids = set[str]().union(*(commit.meets for commit in commits))
    return f"{{{','.join(sorted(ids)) if len(ids) > 1 else ''}}}"


def _refusal(commit: Commit, answer: Any) -> BaseException:
    try:
        return commit.refusal(answer["detail"])
    except (
        Exception
    ) as error:  # of ours: whoever waits for this commit is told, and those beside it are not kept waiting
        return error


def _end(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    elif isinstance(error, asyncio.CancelledError):
        done.cancel()
    else:
        done.set_exception(error)
