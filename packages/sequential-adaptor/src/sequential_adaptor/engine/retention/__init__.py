"""Forgetting runs that have ended long ago."""
