"""Commits that are asked for side by side go in one call: one transaction, one flush, one round trip."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from sequential_adaptor.backends.supabase.commits import Commit
from sequential_adaptor.backends.supabase.door import Door, Refused

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

    async def write(self, commit: Commit) -> None:
        """Return when it is written, or raise what says why not. A caller that is cancelled stops nothing."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append((commit, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await done

    async def close(self) -> None:
        """Let what was asked for be written."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))

    async def _write_all(self) -> None:
        try:
            while self._asked:
                await self._write_group(self._next_group())
        finally:
            self._writing = None

    def _next_group(self) -> list[tuple[Commit, asyncio.Future[None]]]:
        group, size = [self._asked.popleft()], 0
        size += len(group[0][0].text)
        while self._asked and len(group) < _LARGEST_GROUP and size + len(self._asked[0][0].text) <= _MOST_TEXT:
            size += len(self._asked[0][0].text)
            group.append(self._asked.popleft())
        return group

    async def _write_group(self, group: list[tuple[Commit, asyncio.Future[None]]]) -> None:
        try:
            answers = await self._send([commit for commit, _ in group])
        except BaseException as error:
            for _, done in group:
                _end(done, error)
            if not isinstance(error, Exception):
                raise
            return
        for (commit, done), answer in zip(group, answers, strict=True):
            _end(done, _refusal(commit, answer))
        if any(commit.brings_work for commit, _ in group):
            self._brought_work()

    async def _send(self, commits: list[Commit]) -> Any:
        text = f"[{','.join(commit.text for commit in commits)}]"
        arguments = {"commits": text, "locks": _locks(commits), "apart": False}
        try:
            return await self._door.call("sequential_commit", arguments)
        except Refused:
            return await self._door.call("sequential_commit", {**arguments, "apart": True})


def _locks(commits: list[Commit]) -> str:
    """What is to be locked beforehand, as an array of Postgres: ids need no quotes. One row needs no order."""
    ids = set[str]().union(*(commit.meets for commit in commits))
    return f"{{{','.join(sorted(ids)) if len(ids) > 1 else ''}}}"


def _refusal(commit: Commit, answer: Any) -> BaseException | None:
    if answer["outcome"] != "refused":
        return None
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
