"""Runners: what executes code, and stops by itself at every outside call."""

from sequential_adaptor.runners.base import (
    Assignment,
    Call,
    CallResults,
    Completed,
    Ending,
    Runner,
    Session,
    Suspended,
    Turn,
)

__all__ = ["Assignment", "Call", "CallResults", "Completed", "Ending", "Runner", "Session", "Suspended", "Turn"]
