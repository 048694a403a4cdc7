"""Does a store keep tasks alive? Real workers that are killed, services that misbehave, and a look at what is left.

:func:`torture` runs it, on any storage URL; its :class:`Report` says what was lost, stuck, done twice, wrong, called
under another key, or repeated too early.
"""

from sequential_adaptor.testing.torture.report import Finding, Report
from sequential_adaptor.testing.torture.running import torture

__all__ = ["Finding", "Report", "torture"]
