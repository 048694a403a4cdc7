"""The frame whose code runs in this thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sequential_adaptor.task._host import current

if TYPE_CHECKING:
    from sequential_adaptor.runners.fetch.frame import Frame


def frame() -> Frame | None:
    """The frame that runs in this thread, ``None`` outside of tasks."""
    return cast("Frame | None", current.host)
