"""The loop of a worker: what is claimed, who sees to it, and what keeps the claims alive."""
