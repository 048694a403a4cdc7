"""Objects on their way into the store: all of them, with everything below each, or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sequential_adaptor.runners.container.store.entries import Tree
from sequential_adaptor.runners.container.store.packs import record
from sequential_adaptor.runners.container.store.shared import Shared
from sequential_adaptor.runners.container.store.sinks import Storing

Ending = Callable[[sqlite3.Connection], object]


class Kept:
    """What is being stored; ``ending`` is what else happens in the transaction that makes it known, so that ``gc``
    finds what needs it."""

    def __init__(self, sink: Storing) -> None:
        self.sink = sink
        self.ending: Ending = lambda connection: None


@contextmanager
def keeping(store: Shared) -> Iterator[Kept]:
    """Store what goes into the sink, once the block has ended well."""
    kept = Kept(Storing(store.places, store.objects))
    try:
        yield kept
        packs = kept.sink.sync()
        with store.database.transaction() as connection:
            record(connection, packs)
            kept.ending(connection)
    except BaseException:
        kept.sink.discard()
        raise


def pin(work: int, tree: Tree) -> Ending:
    """Leave a tree, which no layer has yet, to a work directory until its next capture."""

    def ending(connection: sqlite3.Connection) -> None:
        connection.execute("replace into pins values (?, ?, ?, ?)", (work, *tree))

    return ending
