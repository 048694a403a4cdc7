"""What a connection knows of the commits that were written lately: in memory, so that their table needs no index."""

from __future__ import annotations

from typing import Final

REMEMBERED: Final = 2_048
"""How many commits are remembered, at least."""


class Memory:
    """Ids of commits, by the number of their row. Used by the thread of one connection only.

    Rows are numbered without a gap, whoever writes them, and only the oldest ones are ever deleted. So who writes the
    row after ``last`` knows every commit there is, and who gets a higher number has to read what lies between.
    What was kept of a transaction that is undone is forgotten before the next commit looks.
    """

    def __init__(self) -> None:
        self.last = 0
        """The newest row that is known to be in the file, with all before it."""
        self._ids: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._newest = 0

    def forget_all(self) -> None:
        """Know nothing of the file that is opened now."""
        self.last = 0
        self._ids.clear()
        self._numbers.clear()
        self._newest = 0

    def forget_above(self, number: int) -> None:
        """What was kept for later rows was undone."""
        for undone in range(self._newest, number, -1):
            id = self._ids.pop(undone, None)
            if id is not None and self._numbers.get(id) == undone:
                del self._numbers[id]
        self._newest = min(self._newest, number)

    def keep(self, number: int, id: str) -> None:
        """The row of that number has that id."""
        self._ids[number] = id
        self._numbers[id] = number
        self._newest = number
        if len(self._ids) > 2 * REMEMBERED:
            self._forget_oldest(number)

    def has(self, id: str, before: int) -> bool:
        """Whether there is a row of that id below that number; everything below it has to be known."""
        number = self._numbers.get(id)
        return number is not None and number < before and self._ids.get(number) == id

    def _forget_oldest(self, newest: int) -> None:
        for number in [number for number in self._ids if number <= newest - REMEMBERED]:
            id = self._ids.pop(number)
            if self._numbers.get(id) == number:
                del self._numbers[id]
