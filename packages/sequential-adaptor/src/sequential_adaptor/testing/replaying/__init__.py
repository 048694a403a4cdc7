"""Would runs that were recorded go the same way on today's code? To be asked before it is deployed.

:func:`record_histories` reads them from a storage and :func:`read_histories` from files that
:func:`write_histories` wrote; :func:`replay` runs today's code through each, performs nothing, writes nothing, and says
where they would part.
"""

from sequential_adaptor.testing.replaying.histories import (
    History,
    read_histories,
    record_histories,
    write_histories,
)
from sequential_adaptor.testing.replaying.replaying import replay
from sequential_adaptor.testing.replaying.report import Divergence, ReplayDiverged, Replayed, ReplayReport

__all__ = [
    "Divergence",
    "History",
    "ReplayDiverged",
    "ReplayReport",
    "Replayed",
    "read_histories",
    "record_histories",
    "replay",
    "write_histories",
]
