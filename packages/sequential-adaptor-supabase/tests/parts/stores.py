"""Fresh stores for tests: databases copied from a template, with or without REST in front of them."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from parts.pgbouncer import Bouncer
from parts.postgres import Postgres
from parts.project import Project

KEPT = 8
"""How many exist side by side; a test that makes hundreds in turn uses the last one or two of them."""


class Stores:
    """Makes databases and projects, and takes them back: the oldest when there are too many, all in the end."""

    def __init__(self, server: Postgres, template: str) -> None:
        self.server, self._template = server, template
        self._open: deque[ExitStack] = deque()

    def database(self) -> str:
        """The name of a new database."""
        return self._make()[0]

    def dsn(self, through: Bouncer | None = None) -> str:
        """How to connect to a new database, by a pooler where one is given."""
        return (through or self.server).dsn(self.database())

    def project(self) -> Project:
        """A project on a new database."""
        name, stack = self._make()
        return stack.enter_context(Project.running(self.server, name))

    def _make(self) -> tuple[str, ExitStack]:
        while len(self._open) >= KEPT:
            self._open.popleft().close()
        name, stack = self.server.new_database(self._template), ExitStack()
        stack.callback(self.server.drop_database, name)
        self._open.append(stack)
        return name, stack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._open:
            self._open.pop().close()
