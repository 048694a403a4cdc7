"""Queues: how many runs are on their way at once, how many a period, and in which order.

A queue is a run of its own, of which there is only the root frame: its ``options`` are the settings, its ``state`` what
it has to remember. Runs that go through it have their root frame in one of its lanes (:mod:`..rules.lanes`), without
``due_at`` while they wait. Whoever claims the queue's frame is its gate: it lets runs in by the laws of
:mod:`.admission`, in one commit with its own frame. Whatever makes a difference (a run that comes or ends, other
settings) wakes the queue in its own commit; nobody polls.
"""
