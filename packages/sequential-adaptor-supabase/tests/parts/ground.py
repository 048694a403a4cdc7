"""What every part stands on: a folder that its user may write to, a process that ends with the tests, a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0


class PartMissing(Exception):
    """A part that the tests need is not installed, or does not start; the message says what to do."""


def servant() -> dict[str, Any]:
    """As whom a server runs that refuses to be root: arguments for ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    import pwd

    found = pwd.getpwnam("nobody")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder with a short path (a Unix socket's has at most 107 bytes) that the servant owns; gone in the end."""
    made = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    who = servant()
    if who:
        os.chown(made, who["user"], who["group"])
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


# Ends the server by the signal that it is told, and at once when nobody is left to tell: when the tests were killed.
_GUARD = """
exec 3<&0
"$@" < /dev/null 3<&- &
server=$!
{ read -r how <&3; kill -"${how:-QUIT}" $server; [ -n "$how" ] || { sleep 2; kill -KILL $server; } } 2> /dev/null &
exec 3<&-
wait $server
"""


class Process:
    """A server: its log is a file, and it is gone when ``stop`` returns, or when the tests are killed."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str], **options: Any
    ) -> None:
        self.log = log
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                ["sh", "-c", _GUARD, "guard", *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=written,
                stderr=written,
                env=dict(environment),
                start_new_session=True,
                **options,
            )

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until it is ready, or raise with the end of its log when it has ended or takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-3000:]
                raise PartMissing(f"{what} did not start (exit code {self._process.poll()}). Its log:\n{said}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and kill it where it does not."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as guard:
            guard.write(f"{how.name.removeprefix('SIG')}\n".encode())
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def bare_environment(**more: str) -> dict[str, str]:
    """What a server is told: where programs are, and nothing that this machine says about databases."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC", **more}
