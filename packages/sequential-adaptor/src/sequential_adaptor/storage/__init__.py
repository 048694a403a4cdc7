"""The storage interface: what a backend promises, the values it deals in, and the parts that every backend shares."""

from sequential_adaptor.storage.adapter import StorageAdapter
from sequential_adaptor.storage.changes import Change, Claim, Create, Update, Wake
from sequential_adaptor.storage.filling import (
    changed_record,
    is_repeat,
    new_stack_run,
    new_task_function,
    new_task_run,
)
from sequential_adaptor.storage.queries import Page, Query
from sequential_adaptor.storage.single_process import check_expectations, holds, is_due

__all__ = [
    "Change",
    "Claim",
    "Create",
    "Page",
    "Query",
    "StorageAdapter",
    "Update",
    "Wake",
    "changed_record",
    "check_expectations",
    "holds",
    "is_due",
    "is_repeat",
    "new_stack_run",
    "new_task_function",
    "new_task_run",
]
