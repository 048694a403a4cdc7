"""The container runner: commands whose file changes are layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.base import Assignment, CallResults, Runner, Session, Suspended
from sequential_adaptor.runners.container import settings as given
from sequential_adaptor.runners.container.directory import Directory
from sequential_adaptor.runners.container.isolation import make_isolation
from sequential_adaptor.runners.container.jobs import Job, Options, make_job
from sequential_adaptor.runners.container.layer import Executed, Layer
from sequential_adaptor.runners.container.performing import Performance
from sequential_adaptor.runners.container.platforms import check_platform
from sequential_adaptor.runners.container.scripts import Script, read_script
from sequential_adaptor.runners.container.settings import OnDirty, Settings
from sequential_adaptor.runners.container.stopping import Position, suspended
from sequential_adaptor.runners.container.supervising import OUTPUT_LIMIT, OnLine, Stop
from sequential_adaptor.values import JSON

Base = Callable[[], str | None]


class ContainerRunner(Directory, Runner):
    """Runs commands in a work directory, and keeps each one's file changes as an immutable layer.

    - ``state_dir`` holds layers (``SEQUENTIAL_STATE_DIR``, else ``.statekit``); ``workdir`` is ``<state_dir>/work``.
    - ``isolation`` is ``none`` (which protects against nothing), ``overlay`` or ``bwrap``; ``network`` and ``binds``
      (paths to be read) are for ``bwrap``.
    - ``env``: variables that every command gets, ``inherit``: names of those that it gets from here. Both are declared,
      and part of the key.
    - ``shell``: the words before a command, ``/bin/sh -c`` by default.
    - ``on_dirty``: what becomes of changes by hand when a command is to be run: ``error``, ``commit`` or ``discard``.
    - ``keep_failed``: what a command that failed has done is left where it is.
    - ``output_limit``: bytes of each stream that are kept: of longer ones the first and the last half.

    The lock of the work directory is taken at the first need and given back by :meth:`dispose`.
    """

    def __init__(
        self,
        state_dir: str | os.PathLike[str] | None = None,
        workdir: str | os.PathLike[str] | None = None,
        *,
        isolation: str | None = None,
        network: bool | None = None,
        binds: Iterable[str | os.PathLike[str]] = (),
        env: Mapping[str, str] | None = None,
        inherit: Sequence[str] = (),
        shell: str | Sequence[str] | None = None,
        on_dirty: OnDirty = "error",
        keep_failed: bool = False,
        output_limit: int = OUTPUT_LIMIT,
    ) -> None:
        check_platform()
        super().__init__(
            Settings(
                given.state_folder(state_dir),
                given.work_folder(workdir),
                make_isolation(given.isolation_name(isolation), network=network, binds=binds),
                given.shell_words(shell),
                given.declared_variables(env, inherit),
                on_dirty,
                keep_failed,
                output_limit,
            )
        )

    @property
    def workdir(self) -> Path:
        """The work directory."""
        return self._workplace.path

    @property
    def state_dir(self) -> Path:
        """Where the layers are."""
        return self.settings.state_dir

    # ---- the life of a runner

    async def init(self) -> None:
        """Open the store, and see that the isolation is to be had. A second call does nothing."""
        await self._call(self._workplace.open)

    async def dispose(self) -> None:
        """End what is under way, and give back locks. It deletes no layer; twice is harmless."""
        await self._threads.close()
        self._workplace.close()

    async def fork(self, ref: str, workdir: str | os.PathLike[str] | None = None) -> ContainerRunner:
        """Another runner on the same layers, in a work directory of its own, which begins at ``ref``."""
        path = await self._call(self._workplace.new_fork if workdir is None else lambda: given.absolute(workdir))
        other = ContainerRunner.__new__(ContainerRunner)  # its options are ours, and checked
        Directory.__init__(other, self.settings.with_work(path))
        await other.init()
        try:
            await other.checkout(ref)
        except BaseException:
            await other.dispose()
            raise
        return other

    # ---- commands

    async def run(
        self,
        code: str | list[str],
        input: JSON = None,
        *,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: bytes | str | None = None,
        cache: bool = True,
        salt: str = "",
        ignore: Iterable[str] = (),
        on_line: OnLine | None = None,
    ) -> Layer | Suspended:
        """Run a command on the head, keep what it changed as a layer, and make that the head.

        - The same command on the same head is not run: its layer is brought back, with its exit code and output.
          ``cache=False`` runs it anyway, ``salt`` tells apart what would else be the same.
        - ``input`` is JSON and comes on standard input, as one line; ``stdin`` is text or bytes as they are.
        - ``env`` is part of the key; ``secrets`` are variables that are in no key, history or output.
        - ``ignore``: patterns as in .gitignore; such files are neither kept nor undone.
        - ``on_line`` gets each line of output as it comes, with ``line.stream``.

        Raises :class:`CommandFailed` with exit code and output where it does not end with 0, and
        :class:`CommandTimedOut` after ``timeout`` seconds; the work directory is then as before.

        A script of cells (``# %% title``), or a list of commands, begins in an empty folder, or on the layer that a
        line ``# from: REF`` names. It is run up to the end of its first command: :meth:`resume` goes on from the state
        of the :class:`Suspended` that is returned.
        """
        options: Options = {
            "env": env,
            "secrets": secrets,
            "timeout": timeout,
            "stdin": stdin,
            "cache": cache,
            "salt": salt,
            "ignore": ignore,
        }
        script = read_script(code)
        if script.is_single and isinstance(code, str):
            return await self.perform(make_job(self.settings, code, input, **options), on_line=on_line)
        if any((env, secrets, timeout, stdin is not None, not cache, salt, tuple(ignore))):
            raise ConfigurationError("a script has no options; batch() takes a list of commands with options of theirs")
        return await self.resume((await self.begin(script)).state, input, on_line=on_line)

    async def begin(self, script: Script) -> Suspended:
        """A script before its first command: in an empty folder, or on the layer that it names."""
        base = None if script.base is None else (await self.inspect(script.base)).hash
        return suspended(Position(script.steps, 0, base))

    async def resume(
        self, state: JSON, response: JSON | CallResults, *, on_line: OnLine | None = None
    ) -> Layer | Suspended:
        """Run the next command of a script on the layer of the state, with the response as its input.

        Commands that have ended are not run again. The last one's layer is the result.
        """
        if isinstance(response, CallResults):
            response = next(iter(response.results.values()), None)
        layer, after = await self.advance(state, response, on_line=on_line)
        return layer if after is None else after

    async def advance(
        self, state: JSON, response: JSON, *, on_line: OnLine | None = None
    ) -> tuple[Layer, Suspended | None]:
        """:meth:`resume`, with the layer of the step that was run, and how it goes on from there, if it does."""
        position = Position.of(state)
        job = make_job(self.settings, position.step.command, response, strict=position.step.strict)
        layer = await self.perform(job, on_line=on_line, base=lambda: position.base)
        after = position.after(layer)
        return layer, None if after is None else suspended(after)

    async def batch(
        self,
        commands: Iterable[str | Mapping[str, Any]],
        *,
        on_line: OnLine | None = None,
        **shared: Unpack[Options],
    ) -> list[Layer]:
        """Run commands one after the other, and give their layers; the first that fails ends it.

        A command is text, or a mapping with ``command`` and options of :meth:`run`. ``shared`` are options of all.
        """
        if isinstance(commands, str):
            raise ConfigurationError("batch() takes a list of commands; run() takes one")
        jobs = [self._job(each, shared) for each in commands]
        return [await self.perform(job, on_line=on_line) for job in jobs]

    def _job(self, command: str | Mapping[str, Any], shared: Options) -> Job:
        asked: dict[str, Any] = {**shared, **({"command": command} if isinstance(command, str) else command)}
        return make_job(self.settings, **asked)

    async def exec(
        self,
        command: str,
        input: JSON = None,
        *,
        on_line: OnLine | None = None,
        borrow: bool = False,
        **options: Unpack[Options],
    ) -> Executed:
        """Run a command that leaves no layer: what it changes in the work directory is thrown away.

        The options are those of :meth:`run`. Whatever the exit code is, it is given back.
        """
        job = make_job(self.settings, command, input, **options)

        def execute(stop: Stop, listener: OnLine | None) -> Executed:
            with self._workplace.work(keep=not borrow, waits=lambda: borrow and not stop.asked) as work:
                self._workplace.make_clean(work, job.ignore)
                return Performance(self._workplace, stop, listener).execute(work, job)

        return await self._threads.perform(execute, on_line)

    async def perform(
        self, job: Job, *, on_line: OnLine | None = None, base: Base | None = None, borrow: bool = False
    ) -> Layer:
        """The layer of a checked job on the head, or on what ``base()`` says when it is this job's turn.

        With ``borrow`` the work directory is waited for, and given back after it.
        """

        def run(stop: Stop, listener: OnLine | None) -> Layer:
            with self._workplace.work(keep=not borrow, waits=lambda: borrow and not stop.asked) as work:
                self._workplace.make_clean(work, job.ignore)
                if base is not None:
                    self._workplace.move(work, base())
                return Performance(self._workplace, stop, listener).run(work, job)

        return await self._threads.perform(run, on_line)

    # ---- for the engine

    def session(self, assignment: Assignment) -> Session:
        """A session for one frame: each step of its script is a call."""
        from sequential_adaptor.runners.container.session import ContainerSession

        return ContainerSession(self, assignment)

    def head_at(self, call: str | None) -> Base | None:
        """The head at the time when a call was first begun, for the call that is made once more after a crash."""
        return None if call is None else lambda: self._workplace.remembered(call, self._workplace.head_hash)
