"""Runs that were submitted here and have yet to be stored, in the commit that stores their first turn as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sequential_adaptor.storage.changes import Change, Claim


class Unstored:
    """What stores each of these runs, by the id of its root frame, and why it could not be stored."""

    def __init__(self) -> None:
        self._submitted: dict[str, tuple[Change, ...]] = {}
        self._errors: dict[str, Exception] = {}

    def add(self, claim: Claim, changes: Sequence[Change]) -> None:
        """The run of the claimed frame is stored by these changes, in the first commit under the claim."""
        self._submitted[claim.stack_run.id] = tuple(changes)

    def __contains__(self, frame_id: object) -> bool:
        return frame_id in self._submitted

    def changes(self, claims: Iterable[Claim]) -> list[Change]:
        """What has to go into a commit under these claims, before all else."""
        return [change for claim in claims for change in self._submitted.get(claim.stack_run.id, ())]

    def are_stored(self, claims: Iterable[Claim]) -> None:
        """A commit under these claims is written."""
        for claim in claims:
            self._submitted.pop(claim.stack_run.id, None)

    def failed(self, claims: Iterable[Claim], error: Exception) -> None:
        """A commit under these claims was refused."""
        for claim in claims:
            if claim.stack_run.id in self._submitted:
                self._errors[claim.stack_run.id] = error

    def check(self, frame_id: str) -> None:
        """Raise what kept a run from being stored, if anything did."""
        if frame_id in self._submitted and frame_id in self._errors:
            raise self._errors[frame_id]
