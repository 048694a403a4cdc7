"""Answers that one thread gives to tasks on the event loops of others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Answer(Generic[T]):
    """What a task waits for. It is made on the task's event loop, settled on any thread, and then given."""

    __slots__ = ("_error", "_found", "future")

    def __init__(self) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._found: Any = None
        self._error: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether the answer is an error."""
        return self._error is not None

    def succeed(self, found: T) -> None:
        """This is the answer."""
        self._found = found

    def fail(self, error: BaseException) -> None:
        """The answer is an error; the first one counts."""
        self._error = self._error or error

    def settle(self, function: Callable[[], T]) -> None:
        """The answer is what the function gives, or raises."""
        try:
            self.succeed(function())
        except BaseException as error:
            self.fail(error)

    def tell(self) -> None:
        """Wake the task, on its own event loop; one that was cancelled waits no more."""
        if self.future.done():
            return
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._found)


def give(answers: Sequence[Answer[Any]]) -> None:
    """Have the tasks woken, with one call to each event loop; where one was closed meanwhile, nobody waits any more."""
    for loop, those in groupby(answers, lambda answer: answer.future.get_loop()):
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell, list(those))


def _tell(answers: Iterable[Answer[Any]]) -> None:
    for answer in answers:
        answer.tell()
