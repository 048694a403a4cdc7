"""A frame in the hands of its holder: the task in memory, its calls, and what is committed of both."""
