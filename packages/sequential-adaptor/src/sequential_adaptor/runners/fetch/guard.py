"""Nothing but a call leaves the process from the thread of a task: what opens a connection there is refused.

It is an audit hook, so that it sees every library that uses Python's sockets, whatever it is called.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from sequential_adaptor.errors import NotDurable
from sequential_adaptor.runners.fetch.clients import not_durable
from sequential_adaptor.runners.fetch.hosting import TaskFrame
from sequential_adaptor.task._host import current

_REFUSED = {
    "socket.connect": "a connection",
    "socket.getaddrinfo": "a look-up of an address",
    "socket.gethostbyaddr": "a look-up of an address",
    "socket.gethostbyname": "a look-up of an address",
    "socket.sendmsg": "a message",
    "socket.sendto": "a message",
}


@cache
def install() -> None:
    """Watch from now on; a hook stays for as long as the process lives."""
    sys.addaudithook(_watch)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event in _REFUSED and isinstance(frame := current.host, TaskFrame):
        raise NotDurable(not_durable(frame, _REFUSED[event]))
