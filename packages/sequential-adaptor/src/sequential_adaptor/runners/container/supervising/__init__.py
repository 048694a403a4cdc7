"""Commands as processes: supervised, so that nothing of one outlives it; their output, and what is hidden in it."""

from sequential_adaptor.runners.container.supervising.outputs import OUTPUT_LIMIT, Line, OnLine, Output
from sequential_adaptor.runners.container.supervising.redaction import SHORTEST, Redactor
from sequential_adaptor.runners.container.supervising.supervise import Order, Overlay, Report, Stop, supervise

__all__ = [
    "OUTPUT_LIMIT",
    "SHORTEST",
    "Line",
    "OnLine",
    "Order",
    "Output",
    "Overlay",
    "Redactor",
    "Report",
    "Stop",
    "supervise",
]
