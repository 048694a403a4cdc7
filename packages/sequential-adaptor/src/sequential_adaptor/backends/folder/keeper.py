"""The keeper: a thread that brings files and index up to date a little after the journal, and cuts the journal then."""

from __future__ import annotations

import logging
import threading
import time

from sequential_adaptor.backends.folder.saving import Saving
from sequential_adaptor.backends.folder.store import Store

DELAY = 0.5
"""Seconds from a commit to its readable files."""
SEGMENT = 4 * 1024 * 1024
"""Bytes of journal after which it is cut."""
AGE = 60.0
"""Seconds after which what is in the journal is brought into the files, whoever wrote it."""
AGAIN = 5.0
"""Seconds after which files that could not be written are tried again."""
_SMALL = 4096
_log = logging.getLogger("sequential_adaptor.folder")


class Keeper:
    """Works under the files lock, so that a slow disk holds up nobody's commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.saving = Saving(store)
        self._wake = threading.Condition(threading.Lock())
        self._written = False
        self._closing = False
        self._checked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sequential-folder-keeper", daemon=True)
        self._thread.start()

    def notice(self) -> None:
        """Say that something was committed."""
        if not self._written:
            with self._wake:
                self._written = True
                self._wake.notify()

    def close(self) -> None:
        """End the thread; what is not in the files yet is for whoever closes."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def checkpoint(self) -> None:
        """Cut the journal now."""
        self._checked = time.monotonic()
        self._store.rotate()
        self.saving.checkpoint()

    def _run(self) -> None:
        while self._pause(DELAY):
            try:
                self._work()
            except Exception as error:  # the journal has it all: what failed here is tried again
                _log.warning("the readable files in %s could not be written: %s", self._store.paths.base, error)
                self.notice()
                if self._pause(AGAIN):
                    self.notice()

    def _pause(self, delay: float) -> bool:
        """Wait for something to do, and then for more of it; ``False`` when the store is being closed."""
        with self._wake:
            if not self._written:
                self._wake.wait_for(lambda: self._written or self._closing, AGE)
            self._wake.wait_for(lambda: self._closing, delay)
            self._written = False
            return not self._closing

    def _work(self) -> None:
        state, journal = self._store.state, self._store.journal
        if state.unsaved:
            self.saving.save()
        aged = time.monotonic() - self._checked > AGE and journal.position > _SMALL
        if journal.position > SEGMENT or aged:
            self.checkpoint()
        elif journal.generation > state.covers + 1:  # another process has begun a segment, and may have died
            self._checked = time.monotonic()
            self.saving.checkpoint()
