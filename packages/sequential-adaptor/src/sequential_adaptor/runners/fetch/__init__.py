"""The fetch runner: plain async Python that stops by itself at every outside call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequential_adaptor.runners.fetch.runner import FetchRunner as FetchRunner

__all__ = ["FetchRunner"]


def __getattr__(name: str) -> object:
    # What sends requests needs only the shapes in `wire`, and no event loop.
    if name == "FetchRunner":
        from sequential_adaptor.runners.fetch.runner import FetchRunner

        return FetchRunner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
