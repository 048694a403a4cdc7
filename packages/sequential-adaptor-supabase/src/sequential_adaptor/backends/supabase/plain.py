"""Ordinary commits, which the database writes all at once and not change by change: ``sequential_write``.

A commit is plain if it creates records, and changes others with no expectations. Which of the commits of a group go
this way, and what they come to, is decided here; whether their rows are there, and held, is for the database to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sequential_adaptor.backends.supabase.rows import Fields, to_text

if TYPE_CHECKING:
    from sequential_adaptor.backends.supabase.commits import Commit

Target = tuple[str, str]
"""A record: its kind, and its id."""

_OUTCOME: Final = frozenset({"id", "last_commit", "status", "result", "error", "position", "log", "ended_at"})
_PARTS: Final[Mapping[str, str]] = {
    "create task run": "created task runs",
    "create stack run": "created stack runs",
    "update task run": "changed task runs",
    "update stack run": "changed stack runs",
}


def kind_of(change: str) -> str:
    """The kind of record that a kind of change is about."""
    return "task run" if change.endswith("task run") else "stack run"


def plain_rows(id: str, changes: Iterable[Sequence[Any]]) -> dict[Target, tuple[str, Fields]] | None:
    """What the changes of a commit come to for each record: the part, and the fields. ``None`` if it is not plain."""
    rows: dict[Target, tuple[str, Fields]] = {}
    for kind, target, *rest in changes:
        part = _PARTS.get(kind)
        if part is None or (len(rest) == 2 and rest[1]):
            return None  # a wake, or an expectation
        fields: Fields = {**rest[0], "id": target}
        place = kind_of(kind), target
        if place[0] == "stack run":
            fields["last_commit"] = id
        if place in rows:
            known, before = rows[place]
            if part.startswith("created") or known.startswith("created"):
                return None
            fields = {**before, **fields}
        rows[place] = part, fields
    return None if any(_takes_lease(*row) for row in rows.values()) else rows


def _takes_lease(part: str, fields: Fields) -> bool:
    """Whether it writes a lease over another, which may have been extended by heartbeats."""
    return part == "changed stack runs" and fields.get("lease_expires_at") is not None


class Sorted:
    """The commits of a group: ``plain`` ones, none of which is about what another one of the group is about as well,
    and ``others``. The plain ones may be written first: no other one that was asked for before is about the same."""

    def __init__(self, commits: Iterable[Commit]) -> None:
        self.plain: list[Commit] = []
        self.others: list[Commit] = []
        self._ids: set[str] = set()
        self._written: set[Target] = set()
        self._touched_by_others: set[Target] = set()
        for commit in commits:
            if self._is_plain(commit):
                self.plain.append(commit)
                self._written.update(commit.rows or ())
            else:
                self.others.append(commit)
                self._touched_by_others |= commit.touches
            self._ids.add(commit.id)

    def _is_plain(self, commit: Commit) -> bool:
        if commit.rows is None or commit.id in self._ids:
            return False
        return self._written.isdisjoint(commit.touches) and self._touched_by_others.isdisjoint(commit.touches)


def parts_of(commits: Sequence[Commit]) -> str:
    """Plain commits as ``sequential_write`` takes them, as text; an empty one where there are none."""
    if not commits:
        return ""
    rows: dict[str, list[Fields]] = {}
    for commit in commits:
        for part, fields in (commit.rows or {}).values():
            rows.setdefault("outcomes" if _is_outcome(part, fields) else part, []).append(fields)
    parts: dict[str, Any] = {"commits": [commit.id for commit in commits]}
    claims = {claim for commit in commits for claim in commit.held}
    if claims:
        parts["claims"] = sorted(claims, key=itemgetter(0))
    for part, found in rows.items():
        parts[part] = sorted(found, key=itemgetter("id"))
    return to_text(parts)


def _is_outcome(part: str, fields: Fields) -> bool:
    return part == "changed stack runs" and _OUTCOME.issuperset(fields)
