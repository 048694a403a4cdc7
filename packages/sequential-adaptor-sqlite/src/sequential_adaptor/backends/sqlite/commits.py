"""A commit: everything that can be is done beforehand, so that the lock is held for its statements only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sequential_adaptor import values
from sequential_adaptor.backends.sqlite.memory import REMEMBERED
from sequential_adaptor.backends.sqlite.steps import step
from sequential_adaptor.backends.sqlite.transactions import Transaction, Write
from sequential_adaptor.errors import ClaimLost, InvalidValue
from sequential_adaptor.storage import Change, Claim

_FORGOTTEN_AT_ONCE: Final = 64

_REMEMBER: Final = "INSERT INTO commits (id) VALUES (?)"
_NEWS: Final = "SELECT number, id FROM commits WHERE number > ? AND number < ?"
_TAKE_BACK: Final = "DELETE FROM commits WHERE number = ?"
_FORGET: Final = "DELETE FROM commits WHERE number <= ?"
_HELD: Final = "SELECT token, worker, lease_expires_at FROM stack_runs WHERE id = ?"


def commit(changes: Sequence[Change], claims: Sequence[Claim], id: str, now: datetime) -> Write[None]:
    """The changes under the claims, as one write; nothing where a commit of that ``id`` was written before."""
    if type(id) is not str:
        raise InvalidValue("$.id", f"{id!r} is {type(id).__name__}, not str")
    values.check(id, "$.id")
    steps = [step(change, now, id) for change in changes]

    def apply(transaction: Transaction) -> None:
        if not _remember(transaction, id):
            return
        for claim in claims:
            check_held(transaction, claim)
        for one in steps:
            one.apply(transaction)

    return Write(apply, brings_work=any(one.brings_work for one in steps))


def check_held(transaction: Transaction, claim: Claim) -> None:
    """Raise :class:`ClaimLost` unless the claim still covers its stack run."""
    row = transaction.execute(_HELD, (claim.stack_run.id,)).fetchone()
    held = row is not None and row[:2] == (claim.token, claim.worker) and (row[2] or "") > transaction.now_text
    if not held:
        raise ClaimLost(claim.stack_run.id, claim.token)


def _remember(transaction: Transaction, id: str) -> bool:
    """Note the id of a commit, and forget the oldest ones; ``False`` where it was there."""
    memory, known = transaction.memory, transaction.remembered
    number = transaction.execute(_REMEMBER, (id,)).lastrowid or 0
    memory.forget_above(known)  # what was undone
    if number > known + 1:  # other processes have written some meanwhile
        for row in transaction.execute(_NEWS, (known, number)):
            memory.keep(*row)
    if memory.has(id, before=number):
        transaction.execute(_TAKE_BACK, (number,))
        transaction.remembered = number - 1
        return False
    memory.keep(number, id)
    transaction.remembered = number
    if number % _FORGOTTEN_AT_ONCE == 0:
        transaction.execute(_FORGET, (number - REMEMBERED,))
    return True
