"""Where commands can be run as layers: the guarantees are those of Linux."""

from __future__ import annotations

import sys

from sequential_adaptor.errors import ConfigurationError


def check_platform() -> None:
    """Raise :class:`ConfigurationError` on any other system."""
    if not sys.platform.startswith("linux"):
        raise ConfigurationError(
            f"the container runner runs on Linux, not on {sys.platform}; run it in a Linux virtual machine or container"
        )
