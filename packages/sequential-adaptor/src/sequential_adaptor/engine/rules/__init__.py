"""How runs, frames and calls move: pure functions from records and what happened to the changes of one commit.

They read no clock and no storage, and an adapter that applies the changes knows none of these rules. Every change of
status is checked against the lifecycles, and every change to a record that somebody else may write expects what it was
based on.
"""

from sequential_adaptor.engine.rules.asking import (
    cancel_asked,
    cancelled_at_once,
    child_ended,
    child_id,
    event_sent,
)
from sequential_adaptor.engine.rules.calls import (
    call_ended,
    call_id,
    call_made,
    outcome_stored,
    settled,
    taken,
    timer_fired,
    tried_again_later,
)
from sequential_adaptor.engine.rules.frames import (
    CLAIMS_WITHOUT_PROGRESS,
    dead,
    dead_outcome,
    end,
    given_back,
    is_dead,
    not_taken_up,
    put_off,
    root_frame,
    submission,
    suspension,
    taken_up,
)
from sequential_adaptor.engine.rules.operations import (
    CANCEL,
    CHILD,
    EVENT,
    SLEEP,
    STEP,
    TIMER,
    WAIT,
    is_child,
    is_performed,
    is_performed_by_holder,
    when,
)

__all__ = [
    "CANCEL",
    "CHILD",
    "CLAIMS_WITHOUT_PROGRESS",
    "EVENT",
    "SLEEP",
    "STEP",
    "TIMER",
    "WAIT",
    "call_ended",
    "call_id",
    "call_made",
    "cancel_asked",
    "cancelled_at_once",
    "child_ended",
    "child_id",
    "dead",
    "dead_outcome",
    "end",
    "event_sent",
    "given_back",
    "is_child",
    "is_dead",
    "is_performed",
    "is_performed_by_holder",
    "not_taken_up",
    "outcome_stored",
    "put_off",
    "root_frame",
    "settled",
    "submission",
    "suspension",
    "taken",
    "taken_up",
    "timer_fired",
    "tried_again_later",
    "when",
]
