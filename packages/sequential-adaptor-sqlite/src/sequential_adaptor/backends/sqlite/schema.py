"""The tables, readable with any SQLite browser: a column for each field, JSON as JSON text, times as RFC 3339.

``application_id`` in the header says that a file is ours, ``user_version`` how many of the migrations it has had.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x5341_4453
"""``SADS`` in the header of every file of ours, so that no other application's file is written to by mistake."""

UNENDED: Final = "status NOT IN ('completed', 'failed', 'cancelled')"
WAITING: Final = "status IN ('pending', 'suspended_waiting_child')"
NUMBERED: Final = "parent_stack_run_id = task_run_id AND substr(id, 1, length(task_run_id) + 1) = task_run_id || '.'"
APART: Final = f"({NUMBERED}) IS NOT TRUE"
"""Conditions of partial indexes: SQLite uses such an index only where a query has its condition in the same words.

The calls of a root frame are numbered, ``<id of the run>.<n>``: they are found by their ids, which are beside one
another, and are in no other index, so that a step writes few pages. All other stack runs are apart.
"""

BELOW: Final = "id >= ? AND id < ?"
"""Those whose ids begin with another one and a point; it binds :func:`below`."""


_FIRST: Final = (
    """
    CREATE TABLE task_runs (
        id TEXT NOT NULL PRIMARY KEY,
        task_identifier TEXT NOT NULL,
        version TEXT NOT NULL,
        runner TEXT NOT NULL,
        status TEXT NOT NULL,
        input TEXT,
        result TEXT,
        error TEXT,
        parent_stack_run_id TEXT,
        metadata TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT,
        started_at TEXT,
        ended_at TEXT
    ) STRICT
    """,
    "CREATE INDEX task_runs_by_time ON task_runs (created_at, id)",
    "CREATE INDEX task_runs_by_status ON task_runs (status, created_at, id)",
    "CREATE INDEX task_runs_by_task ON task_runs (task_identifier, created_at, id)",
    """
    CREATE INDEX task_runs_by_parent ON task_runs (parent_stack_run_id, created_at, id)
    WHERE parent_stack_run_id IS NOT NULL
    """,
    """
    CREATE TABLE stack_runs (
        id TEXT NOT NULL PRIMARY KEY,
        task_run_id TEXT NOT NULL,
        parent_stack_run_id TEXT,
        sequence INTEGER,
        position INTEGER,
        operation TEXT NOT NULL,
        status TEXT NOT NULL,
        input TEXT,
        options TEXT,
        result TEXT,
        error TEXT,
        state TEXT,
        resume_payload TEXT,
        log TEXT,
        attempts INTEGER NOT NULL,
        wakes INTEGER NOT NULL,
        due_at TEXT,
        worker TEXT,
        token INTEGER NOT NULL,
        progress_token INTEGER NOT NULL,
        lease_expires_at TEXT,
        last_commit TEXT,
        suspended_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT,
        ended_at TEXT
    ) STRICT
    """,
    f"CREATE INDEX stack_runs_by_run ON stack_runs (task_run_id, created_at, id) WHERE {APART}",
    f"""
    CREATE INDEX stack_runs_by_parent ON stack_runs (parent_stack_run_id, created_at, id)
    WHERE parent_stack_run_id IS NOT NULL AND {APART}
    """,
    # What has ended is not in it, so that finding work costs the same whatever lies beside it; the lease is in it, so
    # that what others hold is passed over without reading its row.
    f"""
    CREATE INDEX stack_runs_due ON stack_runs (due_at, id, lease_expires_at)
    WHERE due_at IS NOT NULL AND {UNENDED}
    """,
    # Calls that their holder performs itself are never in it, so that a step writes nothing here.
    f"CREATE INDEX stack_runs_waiting ON stack_runs (status, due_at, id) WHERE {WAITING}",
    """
    CREATE TABLE task_functions (
        identifier TEXT NOT NULL,
        version TEXT NOT NULL,
        runner TEXT NOT NULL,
        code TEXT NOT NULL,
        modules TEXT,
        metadata TEXT,
        created_at TEXT NOT NULL,
        stored INTEGER NOT NULL,
        PRIMARY KEY (identifier, version)
    ) STRICT
    """,
    "CREATE INDEX task_functions_current ON task_functions (identifier, stored)",
    "CREATE TABLE keystore (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE TABLE announcements (number INTEGER NOT NULL) STRICT",
    "INSERT INTO announcements VALUES (0)",
    # No index: each process has the ids in memory as well, and reads those of others by their numbers.
    "CREATE TABLE commits (number INTEGER PRIMARY KEY, id TEXT NOT NULL) STRICT",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""What takes a file from each version to the next. Never change one that was released: add another."""


def below(id: str) -> tuple[str, str]:
    """What ids that begin with ``id`` and a point lie between: ``/`` is the character behind the point."""
    return f"{id}.", f"{id}/"
