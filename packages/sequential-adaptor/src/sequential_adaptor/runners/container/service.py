"""The container runner as a service: ``await call_host_tool("container", "run", {"command": "make"})``."""

from __future__ import annotations

import base64
from typing import Any, Unpack

from sequential_adaptor.runners.container.jobs import Options, make_job
from sequential_adaptor.runners.container.runner import ContainerRunner
from sequential_adaptor.values import JSON


class ContainerService:
    """Methods of one runner, with JSON in and out. The options are those of the runner.

    The work directory is ours for one call at a time, and waited for where somebody else has it.
    """

    call_timeout = 86_400.0
    """Seconds that a call may take where it says nothing else: commands are slow, and have time limits of their own."""

    def __init__(self, **options: Any) -> None:
        self._runner = ContainerRunner(**options)

    async def init(self) -> None:
        """Open the store."""
        await self._runner.init()

    async def aclose(self) -> None:
        """Give back what is held."""
        await self._runner.dispose()

    async def run(
        self, command: str, input: JSON = None, idempotency_key: str | None = None, **options: Unpack[Options]
    ) -> JSON:
        """Run a command on the head; its layer. The same call once more, after a crash, begins where it began."""
        job = make_job(self._runner.settings, command, input, **options)
        base = self._runner.head_at(idempotency_key)
        return (await self._runner.perform(job, base=base, borrow=True)).result

    async def exec(self, command: str, input: JSON = None, **options: Unpack[Options]) -> JSON:
        """Run a command that leaves no layer."""
        return (await self._runner.exec(command, input, borrow=True, **options)).as_json()

    async def status(self) -> JSON:
        """The state of the work directory."""
        return dict(await self._runner.status())

    async def head(self) -> JSON:
        """The layer that the work directory is at; ``None`` where there is none."""
        found = await self._runner.head()
        return None if found is None else found.result

    async def history(self, ref: str | None = None) -> JSON:
        """The head, or ``ref``, and its parents, the newest first."""
        return [layer.result for layer in await self._runner.history(ref)]

    async def inspect(self, ref: str) -> JSON:
        """A layer."""
        return (await self._runner.inspect(ref)).result

    async def checkout(self, ref: str, force: bool = False) -> JSON:
        """Bring the work directory to a layer."""
        return (await self._runner.checkout(ref, force, borrow=True)).result

    async def diff(self, a: str | None, b: str | None = None) -> JSON:
        """What differs between two layers."""
        return (await self._runner.diff(a, b)).as_json()

    async def read(self, ref: str, path: str) -> JSON:
        """The content of a file in a layer as text, or ``{"base64": ...}`` where it is none."""
        content = await self._runner.read(ref, path)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(content).decode("ascii")}

    async def tag(self, name: str, ref: str | None = None) -> JSON:
        """Let a name stand for a layer, the head by default."""
        return (await self._runner.tag(name, ref)).result

    async def tags(self) -> JSON:
        """Hashes by tag."""
        return await self._runner.tags()
