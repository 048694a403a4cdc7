"""The parts of ``sequential container``."""
