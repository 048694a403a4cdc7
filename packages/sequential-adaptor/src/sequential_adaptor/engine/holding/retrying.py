"""When a call that failed is tried again: a pure rule."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
DEFAULT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to ``attempts`` answered failures, ``FIRST_DELAY`` seconds after the first, doubling to ``LONGEST_DELAY``."""

    attempts: int = DEFAULT_ATTEMPTS

    def delay(self, failures: int, retry_after: float | None = None, *, chance: float | None = None) -> float | None:
        """Seconds until the next attempt after ``failures`` answered failures; ``None`` when there is to be none.

        Jitter takes away up to half, so that calls which failed together do not come back together; ``Retry-After`` is
        a lower bound that jitter never undercuts. ``chance`` in [0, 1) stands for the dice.
        """
        if failures >= self.attempts:
            return None
        doubled = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))
        dice = random.random() if chance is None else chance
        return max(doubled * (1 - dice / 2), retry_after or 0.0)
