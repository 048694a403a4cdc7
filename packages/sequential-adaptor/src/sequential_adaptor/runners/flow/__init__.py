"""The flow runner: a statechart that survives, its states' functions being tasks as those of ``fetch`` are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequential_adaptor.runners.flow.runner import FlowRunner as FlowRunner
    from sequential_adaptor.runners.flow.watching import FlowView as FlowView
    from sequential_adaptor.runners.flow.watching import view as view
    from sequential_adaptor.runners.flow.watching import wait_for as wait_for

__all__ = ["FlowRunner", "FlowView", "view", "wait_for"]


def __getattr__(name: str) -> object:
    # Whoever only looks at flows needs no event loop.
    if name == "FlowRunner":
        from sequential_adaptor.runners.flow.runner import FlowRunner

        return FlowRunner
    if name in __all__:
        from sequential_adaptor.runners.flow import watching

        return getattr(watching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
