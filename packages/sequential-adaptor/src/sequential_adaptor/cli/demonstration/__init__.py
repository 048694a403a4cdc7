"""``sequential demo``: a task that is killed in the middle, and goes on in another process."""
