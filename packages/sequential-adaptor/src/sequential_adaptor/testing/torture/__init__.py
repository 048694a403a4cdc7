"""Does a store keep tasks alive? Real workers that are killed, services that misbehave, and a look at what is left.

:func:`torture` runs it, on any storage URL, with tasks that make calls, and :func:`torture_mixed` with all that
long-lived runs do; a :class:`Report` says what was lost, stuck, done twice, wrong, called under another key, over a
limit, or repeated too early.
"""

from sequential_adaptor.testing.torture.mixed import torture_mixed
from sequential_adaptor.testing.torture.report import Finding, Report
from sequential_adaptor.testing.torture.running import torture

__all__ = ["Finding", "Report", "torture", "torture_mixed"]
