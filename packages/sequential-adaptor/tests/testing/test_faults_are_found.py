"""The laws have teeth: an adapter with one fault breaks the law about it, and the state machine finds it too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sequential_adaptor.errors import ClaimLost, Conflict, RecordExists, StorageError
from sequential_adaptor.ids import new_id
from sequential_adaptor.records import StackRun
from sequential_adaptor.storage import Claim, Update, Wake
from sequential_adaptor.testing import Storage, StorageLaws
from sequential_adaptor.testing.laws import all_laws, law_number
from sequential_adaptor.testing.machine import Machine

pytestmark = pytest.mark.slow

Faulty = Callable[[Any], Any]
LAWS = {law_number(law): law for law in all_laws().values()}


def with_method(name: str, make: Callable[[Any], Any]) -> Faulty:
    """The adapter class with one method made anew from the right one."""
    return lambda adapter: type("Faulty", (adapter,), {name: make(getattr(adapter, name))})


def keeps_claims_after_their_lease(commit: Any) -> Any:
    async def faulty(self: Any, changes: Any, *, claims: Any = (), id: str) -> None:
        await commit(self, changes, id=id)

    return faulty


def writes_before_it_checks(commit: Any) -> Any:
    async def faulty(self: Any, changes: Any, *, claims: Any = (), id: str) -> None:
        for place, change in enumerate(changes):
            await commit(self, [change], claims=claims, id=f"{id}-{place}")

    return faulty


def forgets_commit_ids(commit: Any) -> Any:
    async def faulty(self: Any, changes: Any, *, claims: Any = (), id: str) -> None:
        await commit(self, changes, claims=claims, id=new_id())

    return faulty


def ignores_expectations(commit: Any) -> Any:
    async def faulty(self: Any, changes: Any, *, claims: Any = (), id: str) -> None:
        bare = [Update(c.record, c.id, c.changes) if isinstance(c, Update) else c for c in changes]
        await commit(self, bare, claims=claims, id=id)

    return faulty


def loses_wakes(commit: Any) -> Any:
    async def faulty(self: Any, changes: Any, *, claims: Any = (), id: str) -> None:
        await commit(self, [c for c in changes if not isinstance(c, Wake)], claims=claims, id=id)

    return faulty


def swallows_refusals(commit: Any) -> Any:
    async def faulty(self: Any, changes: Any, *, claims: Any = (), id: str) -> None:
        with suppress(ClaimLost, Conflict, RecordExists):
            await commit(self, changes, claims=claims, id=id)

    return faulty


def sorts_keys(set_keystore: Any) -> Any:
    async def faulty(self: Any, key: str, value: Any) -> None:
        await set_keystore(self, key, dict(sorted(value.items())) if isinstance(value, dict) else value)

    return faulty


def takes_falsy_for_nothing(get: Any) -> Any:
    async def faulty(self: Any, key: str) -> Any:
        return await get(self, key) or None

    return faulty


def shares_records(get: Any) -> Any:
    async def faulty(self: Any, id: str) -> Any:
        return (await get(self, id)) and self._rows[StackRun, id]

    return faulty


def claims_what_is_held(claim: Any) -> Any:
    async def faulty(self: Any, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Any = None) -> list[Claim]:
        for key, row in list(self._rows.items()):
            if key[0] is StackRun:
                self._rows[key] = row.replace(lease_expires_at=None)
        return await claim(self, worker, limit=limit, lease=lease, ids=ids)

    return faulty


def starts_tokens_again(claim: Any) -> Any:
    async def faulty(self: Any, worker: str, **options: Any) -> list[Claim]:
        claims = await claim(self, worker, **options)
        for one in claims:
            self._rows[StackRun, one.stack_run.id] = one.stack_run.replace(token=1)
        return [Claim(one.stack_run.replace(token=1), one.worker, 1, one.expires_at) for one in claims]

    return faulty


def claims_the_newest(claim: Any) -> Any:
    async def faulty(self: Any, worker: str, *, limit: int = 1, lease: float = 30.0, ids: Any = None) -> list[Claim]:
        return list(reversed(await claim(self, worker, limit=limit, lease=lease, ids=ids)))

    return faulty


def revives_leases(heartbeat: Any) -> Any:
    async def faulty(self: Any, claims: Any, *, lease: float = 30.0) -> list[Claim]:
        later = await self.now() + timedelta(seconds=lease)
        for one in claims:
            await self.update_stack_run(one.stack_run.id, lease_expires_at=later)
        return await heartbeat(self, claims, lease=lease)

    return faulty


def forgets_none(update: Any) -> Any:
    async def faulty(self: Any, id: str, changes: Any = None, /, **fields: Any) -> Any:
        given = {**(changes or {}), **fields}
        return await update(self, id, {name: value for name, value in given.items() if value is not None})

    return faulty


def cuts_answers(query: Any) -> Any:
    async def faulty(self: Any, filter: Any = None, *, limit: int | None = None, **options: Any) -> Any:
        return await query(self, filter, limit=1000 if limit is None else limit, **options)

    return faulty


def lists_frames(pending: Any) -> Any:
    async def faulty(self: Any) -> Any:
        return await self.query_stack_runs({"status": "pending"}, order_by="due_at")

    return faulty


FAULTS = [
    ("E1", "commit", keeps_claims_after_their_lease),
    ("E4", "commit", keeps_claims_after_their_lease),
    ("E5", "commit", writes_before_it_checks),
    ("M3", "commit", writes_before_it_checks),
    ("E9", "commit", forgets_commit_ids),
    ("E10", "commit", forgets_commit_ids),
    ("E12", "commit", forgets_commit_ids),
    ("E7", "commit", ignores_expectations),
    ("E6", "commit", ignores_expectations),
    ("M9", "commit", loses_wakes),
    ("M4", "commit", swallows_refusals),
    ("J2", "set_keystore", sorts_keys),
    ("K4", "get_keystore", takes_falsy_for_nothing),
    ("R15", "get_stack_run", shares_records),
    ("C3", "claim_stack_runs", claims_what_is_held),
    ("C4", "claim_stack_runs", starts_tokens_again),
    ("C6", "claim_stack_runs", claims_the_newest),
    ("C10", "heartbeat", revives_leases),
    ("R11", "update_stack_run", forgets_none),
    ("Q14", "query_stack_runs", cuts_answers),
    ("Q18", "get_pending_stack_runs", lists_frames),
]


@pytest.mark.parametrize(("number", "name", "fault"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
async def test_a_fault_breaks_its_law(number: str, name: str, fault: Any, sixteen: Any) -> None:
    """The law holds for the right adapter and is broken by the one with the fault."""
    for factory, broken in ((sixteen, False), (with_method(name, fault)(sixteen), True)):
        async with factory(new_id()) as adapter:
            try:
                await LAWS[number](StorageLaws(), adapter)
            except (AssertionError, pytest.fail.Exception, StorageError):
                assert broken, f"{number} was broken by the right adapter"
            else:
                assert not broken, f"{number} did not notice"


MACHINE = settings(
    max_examples=400,
    stateful_step_count=20,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "fault", "steps"),
    [
        ("commit", forgets_commit_ids, 3),
        ("commit", ignores_expectations, 2),
        ("claim_stack_runs", claims_what_is_held, 5),
        ("get_keystore", takes_falsy_for_nothing, 2),
        ("update_stack_run", forgets_none, 2),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_state_machine_finds_a_fault_and_reduces_it(name: str, fault: Any, steps: int, sixteen: Any) -> None:
    """Whatever the fault, a history of a few steps is left that shows it."""
    faulty = with_method(name, fault)(sixteen)
    with pytest.raises((AssertionError, StorageError)) as caught:
        run_state_machine_as_test(lambda: Machine(Storage(faulty, name=new_id())), settings=MACHINE)
    notes = "\n".join(caught.value.__notes__).splitlines()
    history = [line for line in notes if line.startswith("state.") and "teardown" not in line]
    assert 1 <= len(history) <= steps, notes
