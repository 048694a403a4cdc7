"""The one way into the database: SQL functions called by name, over a connection (`postgres.py`), or by REST.

Everything the adapter does is a function of the migrations, so that both doors do exactly the same:

- A function is called with named arguments: text, numbers, booleans or ``None``. Whatever has structure is JSON text; a
  payload inside it is JSON text in a JSON string (encoded twice), so that Postgres and every JSON parser on the way
  pass it on character by character.
- Every function returns a set of rows with named columns, in the order of its declaration; at most ``MOST_ROWS``.
  A payload is text. A time is a ``datetime`` or RFC 3339 text with its offset, as the door has it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sequential_adaptor.errors import StorageError

MOST_ROWS: Final = 1_000
"""PostgREST cuts what is more, silently; so no function is asked for more."""

REFUSED: Final = "SQ001"
"""The SQLSTATE with which a function of ours says no, and everything it did is undone."""

CHANNEL: Final = "sequential_work"
"""What ``sequential_announce()`` notifies, and ``listen`` listens to."""


class Refused(StorageError):
    """A function of ours has refused, with SQLSTATE :data:`REFUSED`; nothing was written."""


class Door(ABC):
    """A way to call the functions of one database. It is used from one event loop."""

    @abstractmethod
    async def open(self) -> None:
        """Reach the database, or raise :class:`StorageUnavailable`."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of it. Calls that are on their way end with an error; closing twice is harmless."""

    @abstractmethod
    async def call(
        self, function: str, arguments: Mapping[str, Any], *, when_repeated: Mapping[str, Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """The rows that a function returns, from a transaction of its own that is committed when this returns.

        Every function may be called again when a reply was lost or the server was away: with the same arguments, but
        for those of ``when_repeated``. The door does so by itself, for a while, with growing pauses.

        - :class:`Refused`: the function raised :data:`REFUSED`.
        - :class:`SchemaMissing`: there is no such function (``42883``, ``42P01``, ``PGRST202``, ``PGRST205``), also
          after waiting for PostgREST to read the schema anew.
        - :class:`StorageUnavailable`: not reached, or no answer, for as long as the door has patience.
        - :class:`StorageError`: any other error of the database, with its code.
        """

    @abstractmethod
    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """Call ``heard`` on this event loop with the text of each notification on :data:`CHANNEL`, and with ``None``
        whenever some may have been missed, until closed. A door that cannot listen does nothing: there is polling."""

    @property
    def listens(self) -> bool:
        """Whether notifications come in at this moment, so that looking for news is a precaution."""
        return False

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the database is, for people, without secrets: a storage URL."""
