"""Schedules: runs that begin by the clock, each firing exactly one, whatever the number of workers and crashes.

A schedule is a run of its own, of which there is only the root frame: its ``options`` are the settings, its ``state``
the next time that is to be seen to, and its ``due_at`` that time. Whoever claims the frame stores the runs that are
due, under ids made of the schedule's name and their time, and the next time, in one commit.
"""
