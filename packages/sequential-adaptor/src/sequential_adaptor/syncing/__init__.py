"""Copying a store into another: what has ended is copied, what has not is moved, so that nothing ever runs twice.

Run by run, each complete at the target before it ends at the source, so it may be killed at any moment and run again:

1. The records of a run arrive *parked*: under a lease that never ends, so no worker takes them up.
2. One commit ends the run at the source, as ``cancelled`` with an error that says where it went. It expects everything
   to be as it was read; where something has moved meanwhile, the run is read again.
3. The parked records are released. A sync that was killed before does it when it is run again: the error at the source
   and the lease at the target name the same move.

A run and its unfinished children, and the run that waits for it, move in one commit.

A queue is copied where the target has none, and goes on at the source. A run that is moved leaves its queue there, and
enters the one of the target when it is released.
"""

from sequential_adaptor.syncing.runs import RunsInFlight
from sequential_adaptor.syncing.summary import Summary
from sequential_adaptor.syncing.sync import Selection, sync

__all__ = ["RunsInFlight", "Selection", "Summary", "sync"]
