"""A flow as others see it: where it stands, where it has been, and waiting until it gets somewhere."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequential_adaptor.errors import ConfigurationError, RecordNotFound
from sequential_adaptor.values import JSON

if TYPE_CHECKING:
    from sequential_adaptor.engine import Engine
    from sequential_adaptor.storage import StorageAdapter

_ENDED = frozenset({"completed", "failed", "cancelled"})
_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.5


@dataclass(frozen=True, slots=True)
class FlowView:
    """A run of a flow: its status, its code, and what the last step left behind.

    ``visits`` has, by the path of a state, how often it was entered (``count``), and when ``first`` and ``last``;
    ``tags`` and ``descriptions`` are those of the active states.
    """

    run_id: str
    status: str
    identifier: str
    version: str
    snapshot: dict[str, JSON] | None
    visits: dict[str, dict[str, JSON]]
    tags: list[str]
    descriptions: dict[str, str]

    @property
    def leaves(self) -> list[str]:
        """The sorted paths of the active states without children; none before the first step."""
        value = self.snapshot["value"] if self.snapshot is not None else None
        return sorted(_leaves(value, "")) if value is not None else []


async def view(storage: StorageAdapter | Engine, run_id: str) -> FlowView:
    """The run as it is stored now; :class:`RecordNotFound`, or ``ConfigurationError`` where it is no flow."""
    store: Any = getattr(storage, "adapter", storage)
    run, frame = await store.get_task_run(run_id), await store.get_stack_run(run_id)
    if run is None:
        raise RecordNotFound("TaskRun", run_id)
    if run.runner != "flow":
        raise ConfigurationError(f"run {run_id} is run by {run.runner!r}; only a flow has states")
    state = frame.state if frame is not None and isinstance(frame.state, dict) else {}
    flow = state.get("flow") or {}
    return FlowView(
        run_id,
        run.status,
        run.task_identifier,
        run.version,
        snapshot=flow.get("snapshot"),
        visits=flow.get("visits", {}),
        tags=flow.get("tags", []),
        descriptions=flow.get("descriptions", {}),
    )


async def wait_for(
    storage: StorageAdapter | Engine,
    run_id: str,
    *,
    state: str | None = None,
    tag: str | None = None,
    timeout: float | None = None,
) -> FlowView:
    """Wait until the flow has been in a state (a dotted path), or a state with the tag is active.

    A state counts once it was entered, even if it was left since; ``TimeoutError`` after ``timeout`` seconds, and
    ``ConfigurationError`` where the run has ended without it.
    """
    if (state is None) == (tag is None):
        raise ConfigurationError("wait_for waits for a state or for a tag: give one of them")
    async with asyncio.timeout(timeout):
        began = time.monotonic()
        while True:
            found = await view(storage, run_id)
            if state in found.visits or tag in found.tags:
                return found
            if found.status in _ENDED:
                what = f"state {state!r}" if state is not None else f"tag {tag!r}"
                raise ConfigurationError(f"run {run_id} is {found.status}, and never came to {what}")
            await asyncio.sleep(min(max((time.monotonic() - began) / 10, _FIRST_LOOK), _LONGEST_LOOK))


def _leaves(value: JSON, path: str) -> list[str]:
    if isinstance(value, str):
        return [f"{path}.{value}" if path else value]
    below = [leaf for key in value for leaf in _leaves(value[key], f"{path}.{key}" if path else key)]
    return below or [path]
