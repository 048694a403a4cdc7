"""How hypothesis runs in all tests of this package: none is timed, and none leaves examples in the source tree."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("sequential", deadline=None, database=None)
settings.load_profile("sequential")
