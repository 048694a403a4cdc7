"""To and from the ``transitions`` library, which is imported only when a machine is made for it."""

from __future__ import annotations

from sequential_adaptor.flow.bridge.exporting import export
from sequential_adaptor.flow.bridge.importing import config_of

__all__ = ["config_of", "export"]
