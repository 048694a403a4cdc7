"""Durable tasks in one SQLite file, shared by any number of worker processes on one machine."""

from sequential_adaptor.backends.sqlite.adapter import SQLiteAdapter
from sequential_adaptor.backends.sqlite.failures import DatabaseBusy, IncompatibleDatabase

__all__ = ["DatabaseBusy", "IncompatibleDatabase", "SQLiteAdapter"]
