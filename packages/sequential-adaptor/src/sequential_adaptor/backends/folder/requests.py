"""Requests: what the adapter asks the writer for. A request is planned under the commit lock, and answered when it is
durable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sequential_adaptor.backends.folder.drafts import Draft, Step
from sequential_adaptor.backends.folder.entries import Entry
from sequential_adaptor.backends.folder.rows import Row
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage.changes import Claim


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes to: an entry to write (or nothing), whether it must be durable, and the answer."""

    entry: Entry | None
    durable: bool
    answer: object


class Request(Protocol):
    """Something to be written."""

    def plan(self, draft: Draft) -> Plan:
        """Make the plan, or raise what stands against it."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """The steps of a commit, all or none; the answer is the row of the last."""

    steps: Sequence[Step]
    claims: Sequence[Claim] = ()
    commit: str | None = None

    def plan(self, draft: Draft) -> Plan:
        if self.commit is not None and draft.is_done(self.commit):
            return Plan(None, True, None)
        draft.begin(self.commit)
        draft.check_claims(self.claims)
        row: Row | None = None
        for step in self.steps:
            row = draft.take(step)
        entry = draft.end()
        return Plan(entry if entry.ops or entry.commit else None, True, row)


@dataclass(frozen=True, slots=True)
class Delete:
    """The deletion of a run; the answer says whether there was one."""

    run_id: str

    def plan(self, draft: Draft) -> Plan:
        draft.begin()
        found = draft.delete(self.run_id)
        entry = draft.end()
        return Plan(entry if entry.ops else None, True, found)


@dataclass(frozen=True, slots=True)
class Claiming:
    """A claim. It need not be durable: nobody who holds a lease outlives a power loss."""

    worker: str
    limit: int
    lease: float
    ids: Collection[str] | None

    def plan(self, draft: Draft) -> Plan:
        draft.begin()
        rows: list[StackRun] = draft.claim(self.worker, self.limit, self.lease, self.ids)
        entry = draft.end()
        return Plan(entry if entry.ops else None, False, rows)


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat."""

    claims: Sequence[Claim]
    lease: float

    def plan(self, draft: Draft) -> Plan:
        draft.begin()
        rows = draft.heartbeat(self.claims, self.lease)
        entry = draft.end()
        return Plan(entry if entry.ops else None, False, rows)
