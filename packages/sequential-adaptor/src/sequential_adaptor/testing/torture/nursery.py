"""Where workers come from: a process that has imported everything forks one in a moment, and kills it on demand.

``python -m sequential_adaptor.testing.torture.nursery``; each line in and out is one JSON object. In:
``{"start": options}``, ``{"kill": pid}``. Out: ``{"started": pid, "name": name}``, ``{"ended": pid, "status": code}``.
Killing is done here, where it is known which processes still are: an id that is free again may be somebody else's.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Any

from sequential_adaptor.testing.torture.worker import work

_LOOK = 0.02


class Nursery:
    """The children that live."""

    def __init__(self) -> None:
        self._alive: set[int] = set()

    def run(self) -> None:
        """Serve until standard input ends; then nobody is left."""
        rest = b""
        while True:
            ready, _, _ = select.select([0], [], [], _LOOK)
            self._bury()
            if not ready:
                continue
            read = os.read(0, 65536)
            if not read:
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))
        for pid in list(self._alive):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _obey(self, order: dict[str, Any]) -> None:
        if "start" in order:
            self._start(order["start"])
        elif order["kill"] in self._alive:
            os.kill(order["kill"], signal.SIGKILL)

    def _start(self, options: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            work(**options)
        self._alive.add(pid)
        self._say(started=pid, name=options["name"])

    def _bury(self) -> None:
        for pid in list(self._alive):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self._alive.discard(pid)
                self._say(ended=pid, status=os.waitstatus_to_exitcode(status))

    @staticmethod
    def _say(**what: Any) -> None:
        os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who tortures; it ends this one by end of file
    sys.stdout.flush()
    Nursery().run()
