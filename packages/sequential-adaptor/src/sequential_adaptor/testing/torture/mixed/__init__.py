"""Everything that long-lived runs do, at once: children, events, cancels, retries, forks, timers, limits, start times,
a schedule, retention; and workers that are killed meanwhile."""

from sequential_adaptor.testing.torture.mixed.running import torture_mixed

__all__ = ["torture_mixed"]
