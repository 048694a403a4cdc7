"""The storage interface: 16 documented methods that a backend must have, and five for workers that it may override."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Self

from sequential_adaptor.errors import NotOffered
from sequential_adaptor.records import StackRun, TaskFunction, TaskRun
from sequential_adaptor.storage.changes import Change, Claim
from sequential_adaptor.storage.queries import Page
from sequential_adaptor.storage.single_process import SingleProcess
from sequential_adaptor.values import JSON


class StorageAdapter(ABC):
    """Where the records live.

    Values are JSON, and key order is part of a value: what was put in comes back exactly, or is refused with its path
    (:mod:`sequential_adaptor.values`). Records are immutable; those that an adapter hands out share nothing with it.
    What a method stored is visible to every process that uses the store when the method returns. After ``close()``
    every method but ``close()`` raises :class:`StorageClosed`.
    """

    atomic: ClassVar[bool] = False
    """Whether ``claim_stack_runs``, ``commit`` and ``heartbeat`` are overridden with ones that are right for many
    processes. Only then may more than one worker share the store."""

    # ---- opening and closing

    @abstractmethod
    async def init(self) -> None:
        """Make the store usable. A second call does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Give back everything that is held. Closing twice is harmless."""

    # ---- runs

    @abstractmethod
    async def create_task_run(self, task_run: TaskRun | Mapping[str, Any]) -> TaskRun:
        """Store a run, with id, status and times filled in where they are missing, and return it as stored.

        Raises :class:`RecordExists` where another run has that id; the same run once more is success.
        """

    @abstractmethod
    async def get_task_run(self, id: str) -> TaskRun | None:
        """The run of that id, or ``None``."""

    @abstractmethod
    async def update_task_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> TaskRun:
        """Change fields of a run, whatever its lifecycle says, and return the new record.

        Raises :class:`RecordNotFound`, :class:`UnknownField`, :class:`InvalidValue`; nothing is written then.
        """

    @abstractmethod
    async def query_task_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[TaskRun]:
        """The runs whose fields equal the filter's, or one of a list of values. See :class:`Query` for the order."""

    # ---- frames and calls

    @abstractmethod
    async def create_stack_run(self, stack_run: StackRun | Mapping[str, Any]) -> StackRun:
        """Store a stack run; like :meth:`create_task_run`. A pending one without ``due_at`` is due at once."""

    @abstractmethod
    async def get_stack_run(self, id: str) -> StackRun | None:
        """The stack run of that id, or ``None``."""

    @abstractmethod
    async def update_stack_run(self, id: str, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> StackRun:
        """Change fields of a stack run; like :meth:`update_task_run`."""

    @abstractmethod
    async def query_stack_runs(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        order_by: str = "created_at",
        newest_first: bool = False,
        cursor: str | None = None,
    ) -> Page[StackRun]:
        """The stack runs whose fields equal the filter's; like :meth:`query_task_runs`."""

    @abstractmethod
    async def get_pending_stack_runs(self) -> list[StackRun]:
        """Calls (never frames) with status ``pending`` that are due by the store's clock, oldest ``due_at`` first."""

    # ---- task functions

    @abstractmethod
    async def store_task_function(
        self,
        identifier: str | TaskFunction | Mapping[str, Any],
        code: str | None = None,
        runner: str = "fetch",
        metadata: JSON = None,
    ) -> TaskFunction:
        """Store a version of a function; it is the current one from now on. The same text twice is one version."""

    @abstractmethod
    async def get_task_function(self, identifier: str, version: str | None = None) -> TaskFunction | None:
        """The version of that sha256, or the current one; ``None`` where there is none."""

    # ---- keystore

    @abstractmethod
    async def set_keystore(self, key: str, value: JSON) -> None:
        """Keep a value under a key, in place of the one before."""

    @abstractmethod
    async def get_keystore(self, key: str) -> JSON:
        """The value of a key, or ``None``."""

    @abstractmethod
    async def delete_keystore(self, key: str) -> bool:
        """Forget a key; say whether there was one."""

    # ---- for workers; these defaults are right for one process

    async def claim_stack_runs(
        self, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Collection[str] | None = None
    ) -> list[Claim]:
        """Give due stack runs, oldest ``due_at`` first, each to exactly one worker for ``lease`` seconds.

        A claim adds one to ``token`` and writes ``worker`` and ``lease_expires_at``, and nothing else. A stack run is
        due when ``due_at`` is set and past and no live lease holds it. ``ids`` claims among these stack runs only.
        """
        return await self._single_process.claim(worker, limit, lease, ids)

    async def commit(self, changes: Sequence[Change], *, claims: Sequence[Claim] = (), id: str) -> None:
        """Write all the changes, in order, or none.

        - :class:`ClaimLost`: a claim's token is not the stored one, its worker is another, or its lease has ended.
        - :class:`Conflict`: an expectation failed. :class:`RecordExists`, :class:`RecordNotFound`: as they say.
        - The same ``id`` again is success and writes nothing. It is kept in ``last_commit`` of every record written
          (a ``Wake`` apart), and remembered beyond that for at least the 1,000 commits that follow.
        """
        await self._single_process.commit(changes, claims, id)

    async def heartbeat(self, claims: Sequence[Claim], *, lease: float = 30.0) -> list[Claim]:
        """Extend leases to ``lease`` seconds from now; return the claims that are still held, with fresh records."""
        return await self._single_process.heartbeat(claims, lease)

    async def now(self) -> datetime:
        """The store's clock: leases and timers use no other."""
        return datetime.now(UTC)

    async def wait_for_work(self, timeout: float) -> None:
        """Return early when there may be work, or after ``timeout`` seconds.

        A commit that makes a stack run due, or wakes a frame, by whatever process, is noticed within some 10 ms where
        the store allows it; one that makes nothing due need not be, and costs those who work less if it is not.
        """
        await self._single_process.wait_for_work(timeout)

    # ---- housekeeping for people; an adapter may do without

    async def list_task_functions(self) -> list[str]:
        """The identifiers of the stored task functions, sorted."""
        raise NotOffered(type(self).__name__, "list task functions")

    async def list_keystore(self) -> list[str]:
        """The keys of the keystore, sorted; never their values."""
        raise NotOffered(type(self).__name__, "list the keystore")

    async def diagnose(self, *, thorough: bool = False) -> list[str]:
        """What is wrong with the store, or may become so, in sentences for people; damage begins with ``damaged:``.

        ``thorough`` may read everything that is stored.
        """
        return []

    async def delete_task_run(self, id: str) -> bool:
        """Forget a run with all its stack runs, whatever its status; say whether there was one. Its children stay."""
        raise NotOffered(type(self).__name__, "delete runs")

    @property
    def _single_process(self) -> SingleProcess:
        found: SingleProcess | None = vars(self).get("_single_process_state")
        if found is None:
            found = vars(self)["_single_process_state"] = SingleProcess(self)
        return found

    # ---- async with

    async def __aenter__(self) -> Self:
        await self.init()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
