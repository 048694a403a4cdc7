"""Task functions, the keystore, and what is done with the store for people."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

from sequential_adaptor.backends.sqlite.rows import TASK_FUNCTIONS
from sequential_adaptor.backends.sqlite.schema import APART, BELOW, NUMBERED, below
from sequential_adaptor.backends.sqlite.transactions import Transaction, Write
from sequential_adaptor.records import TaskFunction

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MARKS: Final = ", ".join("?" * len(TASK_FUNCTIONS.fields))
_STORE_FUNCTION: Final = (
    f"INSERT OR REPLACE INTO task_functions ({TASK_FUNCTIONS.columns}, stored) "
    f"VALUES ({_MARKS}, (SELECT ifnull(max(stored), 0) + 1 FROM task_functions WHERE identifier = ?))"
)
_FUNCTION: Final = f"SELECT {TASK_FUNCTIONS.columns} FROM task_functions WHERE identifier = ?"
_VERSION: Final = f"{_FUNCTION} AND version = ?"
_CURRENT: Final = f"{_FUNCTION} ORDER BY stored DESC LIMIT 1"

_SET: Final = "INSERT INTO keystore (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_GET: Final = "SELECT value FROM keystore WHERE key = ?"
_DELETE: Final = "DELETE FROM keystore WHERE key = ?"

IDENTIFIERS: Final = "SELECT DISTINCT identifier FROM task_functions ORDER BY identifier"
KEYS: Final = "SELECT key FROM keystore ORDER BY key"
_DELETE_RUN: Final = "DELETE FROM task_runs WHERE id = ?"
_DELETE_NUMBERED: Final = f"DELETE FROM stack_runs WHERE {BELOW} AND {NUMBERED}"
_DELETE_APART: Final = f"DELETE FROM stack_runs WHERE task_run_id = ? AND {APART}"


def store_function(function: TaskFunction) -> Write[None]:
    """Store a version, which is the current one from then on."""
    bound = (*TASK_FUNCTIONS.row(function), function.identifier)
    return Write(lambda transaction: _run(transaction, _STORE_FUNCTION, bound))


def read_function(connection: sqlite3.Connection, identifier: str, version: str | None) -> Any:
    """The row of a version, or of the current one, or None."""
    if version is None:
        return connection.execute(_CURRENT, (identifier,)).fetchone()
    if _SHA256.fullmatch(version) is None:
        return None
    return connection.execute(_VERSION, (identifier, version)).fetchone()


def set_key(key: str, text: str) -> Write[None]:
    """Keep JSON text under a key."""
    return Write(lambda transaction: _run(transaction, _SET, (key, text)))


def read_key(connection: sqlite3.Connection, key: str) -> Any:
    """The row of a key: its JSON text, or None."""
    return connection.execute(_GET, (key,)).fetchone()


def delete_key(key: str) -> Write[bool]:
    """Forget a key; whether there was one."""
    return Write(lambda transaction: transaction.execute(_DELETE, (key,)).rowcount == 1)


def delete_run(id: str) -> Write[bool]:
    """Forget a run with all its stack runs; whether there was one."""

    def apply(transaction: Transaction) -> bool:
        transaction.execute(_DELETE_NUMBERED, below(id))
        transaction.execute(_DELETE_APART, (id,))
        return transaction.execute(_DELETE_RUN, (id,)).rowcount == 1

    return Write(apply)


def _run(transaction: Transaction, text: str, bound: tuple[Any, ...]) -> None:
    transaction.execute(text, bound)
