"""Time that is skipped: a workflow of 30 days, tested in milliseconds.

:class:`SkippingEngine` is an engine whose clock jumps to the next thing that time brings about whenever nothing else
can move. What happens, and in which order, is what would have happened in real time.
"""

from sequential_adaptor.testing.skipping.adapter import SkippingAdapter, skipped_time
from sequential_adaptor.testing.skipping.carrying import Stalled
from sequential_adaptor.testing.skipping.engine import SkippingEngine, SkippingHandle

__all__ = ["SkippingAdapter", "SkippingEngine", "SkippingHandle", "Stalled", "skipped_time"]
