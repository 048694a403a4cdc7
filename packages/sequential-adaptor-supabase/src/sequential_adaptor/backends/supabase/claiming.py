"""Claims and leases: who works on what is due."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sequential_adaptor import ids as names
from sequential_adaptor.backends.supabase.door import MOST_ROWS, Door
from sequential_adaptor.backends.supabase.rows import STACK_RUNS, to_text
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun, time_to_text
from sequential_adaptor.storage import Claim


async def claim(door: Door, worker: str, limit: int, lease: float, ids: Collection[str] | None) -> list[Claim]:
    """Give due stack runs to a worker, oldest first."""
    among = None if ids is None else to_text([names.check_stack_run_id(id) for id in ids])
    found: list[Claim] = []
    while ids != [] and len(found) < limit:
        most = min(MOST_ROWS, limit - len(found))
        rows = await door.call(
            "sequential_claim",
            {
                "worker": worker,
                "lease": float(lease),
                "max_rows": most,
                "request": new_id(),
                "ids": among,
                "again": False,
            },
            when_repeated={"again": True},
        )
        found += [_claim_of(stack_run, worker) for stack_run in STACK_RUNS.read_all(rows)]
        if len(rows) < most:
            break
    return found


def _claim_of(stack_run: StackRun, worker: str) -> Claim:
    assert stack_run.lease_expires_at is not None  # it was claimed just now
    return Claim(stack_run, worker, stack_run.token, stack_run.lease_expires_at)


async def heartbeat(door: Door, claims: Sequence[Claim], lease: float) -> list[Claim]:
    """Extend the leases of those claims that are still held."""
    held: dict[str, StackRun] = {}
    for start in range(0, len(claims), MOST_ROWS):
        part = [[claim.stack_run.id, claim.worker, claim.token] for claim in claims[start : start + MOST_ROWS]]
        rows = await door.call("sequential_heartbeat", {"claims": to_text(part), "lease": float(lease)})
        held |= {stack_run.id: stack_run for stack_run in STACK_RUNS.read_all(rows)}
    return [_claim_of(held[claim.stack_run.id], claim.worker) for claim in claims if _is_held(claim, held)]


def _is_held(claim: Claim, held: dict[str, StackRun]) -> bool:
    found = held.get(claim.stack_run.id)
    return found is not None and (found.worker, found.token) == (claim.worker, claim.token)


async def pending(door: Door) -> list[StackRun]:
    """The calls that are pending and due."""
    found: list[StackRun] = []
    while True:
        last = found[-1] if found else None
        after = {
            "after_due_at": time_to_text(last.due_at) if last is not None and last.due_at is not None else None,
            "after_id": last.id if last is not None else None,
        }
        page = STACK_RUNS.read_all(await door.call("sequential_pending", {"max_rows": MOST_ROWS, **after}))
        found += page
        if len(page) < MOST_ROWS:
            return found
