"""Going back in a run's history: forks and retries."""
