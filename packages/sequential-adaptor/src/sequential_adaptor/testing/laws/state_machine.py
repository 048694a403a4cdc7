"""Section S: any history at all."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from sequential_adaptor.testing.laws.base import Laws, NewStore
from sequential_adaptor.testing.machine import Machine
from sequential_adaptor.testing.strategies import PATIENT


class StateMachineLaws(Laws):
    """Section S. ``histories`` and ``steps`` say how much is tried; a slow store may take fewer."""

    histories: ClassVar[int] = 100
    steps: ClassVar[int] = 30

    async def test_any_history_is_as_in_the_model(self, new_store: NewStore) -> None:
        """S1. Whatever is done to a store, in whatever order, it gives back and refuses what the model in memory
        does."""

        def machine() -> Machine:
            options = {name: name not in self.differences for name in ("sharing", "reopening")}
            return Machine(new_store(), **options)

        tried = settings(
            max_examples=self.histories,
            stateful_step_count=self.steps,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=PATIENT,
        )
        # Hypothesis is not async, so the machine has a thread and an event loop of its own.
        await asyncio.to_thread(cast(Any, run_state_machine_as_test), machine, settings=tried)
