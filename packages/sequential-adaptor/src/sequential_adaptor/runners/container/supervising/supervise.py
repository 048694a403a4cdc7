"""Runs one command under its supervisor, from our side: order, output, time limit, report."""

from __future__ import annotations

import marshal
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sequential_adaptor.runners.container.supervising.outputs import Output

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_CHUNK = 64 * 1024
_UNRESPONSIVE = 7.0
"""Seconds after which a supervisor that was told to stop is told by force: the command has stopped it."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """Folders of an overlay that is laid over the work directory; ``upper`` gets what changes."""

    lower: bytes
    upper: bytes
    work: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """One command: its program with arguments, its whole environment, where it runs, what it reads."""

    argv: tuple[bytes, ...]
    environment: Mapping[str, str]
    cwd: Path
    stdin: bytes | None = None
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How it went.

    - ``exit_code``: 128 and the number of the signal for a command that a signal ended; ``None`` for one that was
      stopped (``timed_out``, or because it was asked for), or whose supervisor was killed (``supervised`` is false).
    - ``refused``: the part of the beginning that failed, and its ``errno``.
    - ``survivors``: process ids that could not be killed; else every process of the command is gone.
    """

    exit_code: int | None = None
    timed_out: bool = False
    supervised: bool = True
    refused: tuple[str, int] | None = None
    survivors: tuple[int, ...] = ()


class Stop:
    """Asks, from any thread, for a command to be stopped. It can be waited for beside other descriptors."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.asked = False

    def ask(self) -> None:
        """Stop it."""
        self.asked = True
        os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        """Nobody asks any more."""
        os.close(self.fd)


def supervise(
    order: Order, stdout: Output, stderr: Output, *, timeout: float | None, stop: Stop, held: Sequence[int] = ()
) -> Report:
    """Run a command to its end, and return when nothing of it is alive. Blocks its thread, which must not end before.

    It is killed after ``timeout`` seconds, when ``stop`` asks for it, and with this process. The descriptors in
    ``held`` stay open, in the supervisor alone, until nothing of the command is alive, even when this process is not.
    """
    here, there = socket.socketpair()
    with here, there:
        process = _spawn(order, (there.fileno(), *held))
        there.close()
        _send(here, order)
        watch = _Watch(process, here, timeout, stop)
        assert process.stdout is not None  # both are pipes
        assert process.stderr is not None
        with process.stdout, process.stderr:
            try:
                watch.run({process.stdout.fileno(): stdout, process.stderr.fileno(): stderr})
            finally:
                here.close()
                process.wait()
    stdout.end()
    stderr.end()
    return watch.report()


def _spawn(order: Order, kept: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """The guard, in a session of its own: Ctrl-C is for us."""
    stdin = subprocess.DEVNULL if order.stdin is None else _as_file(order.stdin)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), *map(str, kept)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=kept,
            start_new_session=True,
            env={},
            cwd="/",
            bufsize=0,
        )
    finally:
        if stdin != subprocess.DEVNULL:
            os.close(stdin)


def _as_file(content: bytes) -> int:
    """A file without a name: nobody has to feed a pipe while the command reads, or does not."""
    file = os.memfd_create("stdin", os.MFD_CLOEXEC)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _send(control: socket.socket, order: Order) -> None:
    overlay = order.overlay
    text: dict[str, Any] = {
        "parent": os.getpid(),
        "argv": list(order.argv),
        "env": {os.fsencode(name): os.fsencode(value) for name, value in order.environment.items()},
        "cwd": os.fsencode(order.cwd),
        "overlay": overlay and {"lower": overlay.lower, "upper": overlay.upper, "work": overlay.work},
    }
    data = marshal.dumps(text)
    control.sendall(len(data).to_bytes(8, "big") + data)


class _Watch:
    """Reads output and report until the supervisor's end of the socket is closed: then nobody is alive."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, timeout: float | None, stop: Stop
    ) -> None:
        self._process, self._control, self._stop = process, control, stop
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._told: float | None = None
        self._said = bytearray()
        self._timed_out = False

    def run(self, outputs: Mapping[int, Output]) -> None:
        """Until the end."""
        with selectors.DefaultSelector() as selector:
            for fd in (*outputs, self._control.fileno(), self._stop.fd):
                selector.register(fd, selectors.EVENT_READ)
            while True:
                ready = [key.fd for key, _ in selector.select(self._patience())]
                for fd in ready:
                    if fd in outputs and not _read(fd, outputs[fd]):
                        selector.unregister(fd)
                if self._stop.fd in ready:
                    selector.unregister(self._stop.fd)
                if self._control.fileno() in ready and not self._hear():
                    break
                self._keep_time()
        for fd, output in outputs.items():
            _drain(fd, output)

    def report(self) -> Report:
        """What the supervisor said."""
        if not self._said:
            return Report(timed_out=self._timed_out, supervised=self._told is not None)
        said = marshal.loads(bytes(self._said))
        status = said.get("status")
        code = None if status is None else os.waitstatus_to_exitcode(status)
        return Report(
            exit_code=128 - code if code is not None and code < 0 else code,
            timed_out=self._timed_out,
            refused=said.get("refused"),
            survivors=tuple(said["survivors"]),
        )

    def _hear(self) -> bool:
        """Take what the supervisor says; false at the end."""
        try:
            part = self._control.recv(_CHUNK)
        except ConnectionResetError:
            part = b""
        self._said += part
        return bool(part)

    def _patience(self) -> float | None:
        if self._told is not None:
            return max(0.0, self._told + _UNRESPONSIVE - time.monotonic())
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._told is not None:
            if now >= self._told + _UNRESPONSIVE:
                self._tell_by_force()
        elif self._stop.asked or (self._deadline is not None and now >= self._deadline):
            self._timed_out = not self._stop.asked
            self._told = now
            self._control.shutdown(socket.SHUT_WR)

    def _tell_by_force(self) -> None:
        self._told = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._process.send_signal(number)


def _read(fd: int, output: Output) -> bool:
    """Pass on what there is; false at the end of the stream."""
    data = os.read(fd, _CHUNK)
    output.feed(data)
    return bool(data)


def _drain(fd: int, output: Output) -> None:
    """What is left in a pipe whose writers are gone; whoever else has got hold of it is not waited for."""
    os.set_blocking(fd, False)
    try:
        while _read(fd, output):
            pass
    except BlockingIOError:
        return
