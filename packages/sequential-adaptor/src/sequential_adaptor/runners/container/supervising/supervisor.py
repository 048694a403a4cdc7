"""The process between us and a command. It is started by path, imports no package, and is quick.

Two of them stand in a row: a *guard*, and below it a *keeper*, which starts the command. Both are subreapers, so that
every descendant that loses its parent, daemons among them, becomes a child of the keeper, or of the guard where the
command has killed its keeper. Both end everything below them when the command has ended, when the socket to our process
closes (it was killed, or wants it so), and when their parent dies.

File descriptor ``argv[1]`` is a socket: a marshalled order comes in, a marshalled report goes out, and its end says
that nothing of the command is alive. The descriptors after it (locks) are held until then.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import marshal
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_REC, MS_SLAVE = 0x4000, 0x80000

GRACE = 0.25
"""Seconds that the command's other processes have to end by themselves (``> >(tee log)``) once it has ended."""
PATIENCE = 5.0
"""Seconds after which a process that cannot be killed is reported as a survivor."""
KEPT_CAPABILITIES = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 10, 31})
"""What an installer run by root needs: files and users; nothing that could take the overlay away."""

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The command was not started: which part of it could not be done, and why."""

    def __init__(self, part: str, number: int) -> None:
        self.part, self.number = part, number


def checked(part: str, result: int) -> None:
    """Raise for a C call that failed."""
    if result != 0:
        raise Refused(part, ctypes.get_errno())


# ---- the guard


def main() -> NoReturn:
    """Read the order, become the guard, and outlive everything of the command."""
    for descriptor in sys.argv[1:]:
        os.set_inheritable(int(descriptor), False)
    control = socket.socket(fileno=int(sys.argv[1]))
    order = marshal.loads(_received(control))
    _watch_over(order["parent"])
    woken = _wake_on_signals()
    here, there = socket.socketpair()
    keeper = os.fork()
    if keeper == 0:
        here.close()
        _keep(order, control, there)
    there.close()
    _let_go_of_streams()
    _map_users(here, keeper)
    while not _reaped(keeper)[0] and not woken.stopping:
        woken.wait(None)
    clear(0.0)
    os._exit(0)


def _received(control: socket.socket) -> bytes:
    size = int.from_bytes(control.recv(8, socket.MSG_WAITALL), "big")
    found = bytearray()
    while len(found) < size:
        part = control.recv(size - len(found))
        if not part:
            os._exit(1)
        found += part
    return bytes(found)


def _watch_over(parent: int) -> None:
    """Adopt orphans, and be told when the parent dies; it may have died already."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Woken:
    """Signals, as something to wait for beside the socket; ``stopping`` once there was a SIGTERM."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        self._writer = writer
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        self.stopping = False
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def wait(self, seconds: float | None, control: socket.socket | None = None) -> None:
        """Until a signal comes, or the socket has closed, or time is over."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if control is not None:
            poll.register(control, select.POLLIN)
        for fd, _ in poll.poll(None if seconds is None else seconds * 1000):
            if fd == self._reader:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._reader, 4096)
            else:
                self.stopping = True


def _wake_on_signals() -> Woken:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    return Woken()


def _let_go_of_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def _map_users(keeper_side: socket.socket, keeper: int) -> None:
    """The keeper asks for its user namespace to be given the users that we know; only we may do it."""
    if keeper_side.recv(1) != b"m":
        return
    try:
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/self/{kind}", encoding="ascii") as known:
                lines = [line.split() for line in known]
            same = "".join(f"{inside} {inside} {count}\n" for inside, _, count in lines)
            with open(f"/proc/{keeper}/{kind}", "w", encoding="ascii") as wanted:
                wanted.write(same)
    except OSError:
        keeper_side.sendall(b"n")
    else:
        keeper_side.sendall(b"y")


# ---- the keeper


def _keep(order: dict[str, Any], control: socket.socket, guard: socket.socket) -> NoReturn:
    """Start the command, wait for its end, end what is left of it, and report."""
    os.setsid()  # a command that kills the group of its parent does not kill the guard
    _watch_over(os.getppid())
    woken = Woken()
    report: dict[str, Any] = {}
    try:
        if order["overlay"] is not None:
            _mount_overlay(order["overlay"], guard)
        guard.close()
        command = _started(order)
        _let_go_of_streams()
        report["status"] = _ended(command, woken, control)
    except Refused as error:
        report["refused"] = (error.part, error.number)
    report["survivors"] = clear(0.0 if woken.stopping else GRACE)
    with contextlib.suppress(OSError):
        control.sendall(marshal.dumps(report))
    os._exit(0)


def _started(order: dict[str, Any]) -> int:
    """Fork, and see the command's program executed."""
    told, teller = os.pipe()
    keeper, command = os.getpid(), os.fork()
    if command == 0:
        try:
            _execute(order, keeper)
        except OSError as error:
            os.write(teller, marshal.dumps(("execute", error.errno)))
        except Refused as error:
            os.write(teller, marshal.dumps((error.part, error.number)))
        os._exit(127)
    os.close(teller)
    said = os.read(told, 4096)
    os.close(told)
    if said:
        os.waitpid(command, 0)
        raise Refused(*marshal.loads(said))
    return command


def _execute(order: dict[str, Any], keeper: int) -> NoReturn:
    os.setsid()
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(127)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    os.chdir(order["cwd"])
    if order["overlay"] is not None:
        _drop_capabilities()
    os.execve(order["argv"][0], order["argv"], order["env"])


def _ended(command: int, woken: Woken, control: socket.socket) -> int | None:
    """The wait status of the command; ``None`` where it is to be stopped."""
    while not woken.stopping:
        gone, status = _reaped(command)
        if gone:
            return status
        woken.wait(None, control)
    return None


# ---- ending


def _reaped(wanted: int) -> tuple[bool, int | None]:
    """Reap whatever has ended; whether ``wanted`` is among it, and its wait status."""
    found: tuple[bool, int | None] = (False, None)
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return (True, None) if not found[0] else found
        if pid == 0:
            return found
        if pid == wanted:
            found = (True, status)


def clear(grace: float) -> list[int]:
    """End every descendant: those that lose their parent become our children. What cannot be killed is returned."""
    now = time.monotonic()
    soon, late = now + grace, now + grace + PATIENCE
    while True:
        _reaped(-1)
        left = children()
        if not left:
            return []
        now = time.monotonic()
        if now >= late:
            return left
        if now >= soon:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.001 if now >= soon else 0.005)


def children() -> list[int]:
    """Our children, those that we adopted among them."""
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children", encoding="ascii") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent_of(pid) == me]


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


# ---- the overlay


def _mount_overlay(folders: dict[str, bytes], guard: socket.socket) -> None:
    """In namespaces of our own, lay an overlay over the work directory; what changes goes to the upper folder."""
    user, group = os.geteuid(), os.getegid()
    checked("unshare", _libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # a change of credentials may have taken it back
    _ask_for_users(guard, user, group)
    checked("private mounts", _libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None))
    # By descriptor: no name of a folder is then read as a part of the options.
    names = {name: f"/proc/self/fd/{os.open(folders[name], os.O_PATH)}" for name in ("lower", "upper", "work")}
    options = f"lowerdir={names['lower']},upperdir={names['upper']},workdir={names['work']},userxattr"
    checked("mount", _libc.mount(b"overlay", folders["lower"], b"overlay", 0, options.encode()))


def _ask_for_users(guard: socket.socket, user: int, group: int) -> None:
    """All users where our process may map them (it is root), else the one that we are."""
    guard.sendall(b"m")
    if guard.recv(1) == b"y":
        return
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        raise Refused("user namespace", error.errno or errno.EPERM) from None


def _drop_capabilities() -> None:
    checked("no new privileges", _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    number = 0
    while _libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:  # until there is no such capability
        if number not in KEPT_CAPABILITIES:
            _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
        number += 1


if __name__ == "__main__":
    main()
