"""The event loop of a task: it moves only when the task can move, and its time is the task's clock.

It is asyncio's own ``BaseEventLoop``, whose selector has no sockets: when nothing is ready it asks for the next thing
that has happened (``feed``), and stops when there is none. Timers wait until the frame lets them go off. Whatever
reaches out of the process by itself is refused.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple, Unpack
from weakref import WeakSet, WeakValueDictionary

from sequential_adaptor.errors import NotDurable
from sequential_adaptor.runners.fetch.clock import Clock
from sequential_adaptor.runners.fetch.collector import collector
from sequential_adaptor.runners.fetch.lines import line_of
from sequential_adaptor.runners.fetch.side_threads import part_of_task, run_in_side_thread
from sequential_adaptor.runners.fetch.timers import Timer, Timers
from sequential_adaptor.task._host import current

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sequential_adaptor.runners.fetch.frame import Frame

T = TypeVar("T")
Args = TypeVarTuple("Args")

_FEW_COROUTINES = 1000
_RESOLUTION = 1e-6  # clocks of stored records have microseconds


class TaskLoop(asyncio.BaseEventLoop):
    """Runs one frame. ``feed`` applies the next happening, and says whether there was one."""

    # What asyncio's loop has, in all versions, and typeshed leaves out.
    _asyncgens: WeakSet[Any]
    _check_closed: Callable[[], None]
    _ready: deque[asyncio.Handle]
    _thread_id: int | None

    def __init__(self, frame: Frame, clock: Clock, feed: Callable[[], bool]) -> None:
        super().__init__()
        self.frame = frame
        self.tasks: WeakValueDictionary[int, asyncio.Task[Any]] = WeakValueDictionary()
        self.timers = Timers()
        self._coroutines: list[Any] = []
        self._most_coroutines = _FEW_COROUTINES
        self._begun: dict[int, int] = {}
        self._generator_numbers = itertools.count()
        self._abandoned: list[Any] = []
        self._clock = clock
        self._feed = feed
        self._numbers = 0
        self._timer_numbers = 0
        self._clock_resolution = _RESOLUTION
        self._selector = _Standstill(self)
        self._task_factory = _new_task

    def next_number(self) -> int:
        """Numbers of tasks and futures, in the order in which the code first needs them."""
        self._numbers += 1
        return self._numbers

    def halt(self) -> None:
        """Stop after the callbacks that are ready now."""
        self._stopping = True

    @property
    def has_async_generators(self) -> bool:
        """Whether there is anything for ``shutdown_asyncgens`` to do."""
        return bool(self._asyncgens or self._abandoned)

    def keep(self, coroutine: Any) -> None:
        """Hold a task's coroutine, and by that the task while it waits: the collector would end one that nobody holds.

        Those that have ended hold nothing, and are let go of now and then.
        """
        self._coroutines.append(coroutine)
        if len(self._coroutines) > self._most_coroutines:
            self._coroutines = [one for one in self._coroutines if getattr(one, "cr_frame", None) is not None]
            self._most_coroutines = 2 * len(self._coroutines) + _FEW_COROUTINES

    def discard(self) -> None:
        """Forget everything that is still to run, and whom to tell of tasks that end unfinished."""
        self.set_exception_handler(None)
        self.timers.clear()
        self._coroutines.clear()
        self._abandoned.clear()
        self._ready.clear()
        self.close()

    def line(self, files: Collection[str]) -> str | None:
        """The innermost line of these files that the loop's thread is at, if it runs."""
        stack = sys._current_frames().get(self._thread_id or 0)
        return line_of(stack, files)

    def time(self) -> float:
        """Seconds since the task began."""
        return self._clock.elapsed

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose place in sets is the same on every replay."""
        return TaskFuture(loop=self)

    def set_task_factory(self, factory: Callable[..., Any] | None) -> None:
        """Use another factory for tasks; they are known to the frame all the same."""
        known: Any = _new_task if factory is None else functools.partial(_known_task, factory)
        super().set_task_factory(known)

    # ---- timers

    def call_at(
        self, when: float, callback: Callable[[Unpack[Args]], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Remember a timer, under a number that is the same on every replay."""
        self._check_closed()
        self._timer_numbers += 1
        timer = Timer(self._timer_numbers, when, callback, args, self, context)
        self.timers.add(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        assert isinstance(handle, Timer)  # this loop makes no others
        self.timers.forget(handle.number)

    def fire(self, numbers: list[int] | None) -> list[int]:
        """Let timers go off: those of these numbers, else those that are due by now, or the earliest if none is."""
        due = self.timers.due(self.time() + _RESOLUTION) if numbers is None else self.timers.recorded(numbers)
        self._ready.extend(due)
        return [timer.number for timer in due]

    # ---- threads

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Args]], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Run a function in another thread, to its end: so the order in which functions end is always the same."""
        self._check_closed()
        future: asyncio.Future[T] = self.create_future()
        try:
            if executor is None:
                future.set_result(run_in_side_thread(func, args))
            else:
                function: Callable[..., T] = part_of_task(func) if _has_threads(executor) else func
                future.set_result(executor.submit(function, *args).result())
        except StopIteration as error:  # no future can hold it
            future.set_exception(RuntimeError(f"the function raised {error!r}"))
        except BaseException as error:  # whatever it is, it belongs to whoever awaits the future
            future.set_exception(error)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Args]], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        """As ``call_soon``; from a thread that the task did not start by ``to_thread``, it is refused."""
        if current.host is not self.frame:
            raise NotDurable(
                "a thread of its own calls back into the loop of a task: no other process could go on from that. "
                "Put what it does into step(...)"
            )
        return self.call_soon(callback, *args, context=context)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing: the loop has no executor of its own."""

    # ---- what BaseEventLoop asks of a loop

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]  # not in typeshed
        self._begun[id(agen)] = next(self._generator_numbers)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        if self.frame.closed:
            return
        if current.host is self.frame and not collector.is_at_work:
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]  # not in typeshed
        else:  # it was the collector that came upon it: it is closed when the task ends, as if it had not
            self._abandoned.append(agen)

    async def shutdown_asyncgens(self) -> None:
        """Close those that are left in the order in which they were begun; a set of them has another each time."""
        self._asyncgens_shutdown_called = True
        left = sorted((*self._asyncgens, *self._abandoned), key=lambda agen: self._begun[id(agen)])
        self._asyncgens.clear()
        self._abandoned.clear()
        results = await asyncio.gather(*(agen.aclose() for agen in left), return_exceptions=True)
        for agen, result in zip(left, results, strict=True):
            if isinstance(result, Exception):
                message = f"an error occurred during closing of asynchronous generator {agen.__qualname__}"
                self.call_exception_handler({"message": message, "exception": result, "asyncgen": agen})

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """An error that nobody asked for goes into the run's log."""
        self.frame.note_lost_error(context)

    def stop(self) -> None:
        """Refused: a task ends by returning."""
        raise NotDurable("the loop of a task is not stopped; return from the task instead")


class TaskFuture(asyncio.Future[Any]):
    """A future with a hash that does not depend on its address: sets of futures have the same order on every replay."""

    def __hash__(self) -> int:
        return _number(self)


class LoopTask(asyncio.Task[Any]):
    """A task with such a hash."""

    @classmethod
    def made(cls, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> LoopTask:
        """As task factories are called."""
        return cls(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return _number(self)


class _Standstill:
    """What stands where a selector would: when nothing is ready it brings in what has happened, or stops the loop."""

    __slots__ = ("_loop",)

    def __init__(self, loop: TaskLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> tuple[()]:
        """Nothing comes in by sockets."""
        if timeout is None and not self._loop._feed():
            self._loop._stopping = True
        return ()


def _has_threads(executor: Executor) -> bool:
    from concurrent.futures import ThreadPoolExecutor  # whoever has an executor has imported it

    return type(executor) is ThreadPoolExecutor  # one derived from it may run functions in interpreters of their own


def _number(item: Any) -> int:
    try:
        number: int = item._number
    except AttributeError:
        number = item._number = item.get_loop().next_number()
    return number


def _new_task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    assert isinstance(loop, TaskLoop)  # it is this loop's factory
    task = _known_task(LoopTask.made, loop, coro, **options)
    if options.get("name") is None:
        task.set_name(f"Task-{_number(task)}")
    return task


def _known_task(factory: Callable[..., Any], loop: TaskLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = factory(loop, coro, **options)
    loop.tasks[_number(task) if isinstance(task, LoopTask) else loop.next_number()] = task
    loop.keep(coro)
    return task


def _refusal(method: str) -> Callable[..., NoReturn]:
    def refuse(self: TaskLoop, *args: Any, **options: Any) -> NoReturn:
        where = self.frame.own_line()
        raise NotDurable(
            f"{where}: loop.{method}() is not possible inside a task, because no other process could go on from it. "
            "Use httpx.AsyncClient or fetch(...) for HTTP, and step(...) for everything else"
        )

    refuse.__name__ = method
    return refuse


for _method in (
    "add_reader add_signal_handler add_writer connect_accepted_socket connect_read_pipe connect_write_pipe "
    "create_connection create_datagram_endpoint create_server create_unix_connection create_unix_server getaddrinfo "
    "getnameinfo remove_reader remove_signal_handler remove_writer sendfile sock_accept sock_connect sock_recv "
    "sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls "
    "subprocess_exec subprocess_shell"
).split():
    setattr(TaskLoop, _method, _refusal(_method))
