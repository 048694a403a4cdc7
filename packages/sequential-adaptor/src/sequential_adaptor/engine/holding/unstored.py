"""Runs that were submitted here and have yet to be stored, in the commit that stores their first turn as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sequential_adaptor.storage.changes import Change, Claim


class Unstored:
    """What stores each of these runs, by the id of its root frame, and what has kept it from being stored.

    One that was ``tried`` may be stored all the same: the answer was lost, or nobody waited for it.
    """

    def __init__(self) -> None:
        self._submitted: dict[str, tuple[Change, ...]] = {}
        self._tried: set[str] = set()
        self._errors: dict[str, Exception] = {}

    def add(self, claim: Claim, changes: Sequence[Change]) -> None:
        """The run of the claimed frame is stored by these changes, in the first commit under the claim."""
        self._submitted[claim.stack_run.id] = tuple(changes)

    def __contains__(self, frame_id: object) -> bool:
        return frame_id in self._submitted

    def changes(self, claims: Iterable[Claim]) -> list[Change]:
        """What has to go into a commit under these claims, before all else."""
        return [change for claim in claims for change in self._submitted.get(claim.stack_run.id, ())]

    def try_now(self, frame_id: str) -> bool:
        """It is about to be stored; whether that was tried before."""
        was_tried = frame_id in self._tried
        self._tried.add(frame_id)
        return was_tried

    def is_stored(self, frame_id: str) -> None:
        """It is stored."""
        self._submitted.pop(frame_id, None)
        self._tried.discard(frame_id)
        self._errors.pop(frame_id, None)

    def failed(self, frame_id: str, error: Exception) -> None:
        """It could not be stored."""
        self._errors[frame_id] = error

    def error(self, frame_id: str) -> Exception | None:
        """What has kept it from being stored, if anything did."""
        return self._errors.get(frame_id)
