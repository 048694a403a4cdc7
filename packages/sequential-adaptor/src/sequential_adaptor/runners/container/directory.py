"""What a runner does to its work directory beside running commands in it."""

from __future__ import annotations

from sequential_adaptor.runners.container.catalogue import Catalogue
from sequential_adaptor.runners.container.layer import Layer, Status
from sequential_adaptor.runners.container.store import Changes, WorkDirectoryBusy
from sequential_adaptor.runners.container.workplace import changes_as_json
from sequential_adaptor.values import JSON


class Directory(Catalogue):
    """The work directory of a runner."""

    async def status(self) -> Status:
        """What differs in the work directory from its head, what else there is to know, and who has it."""

        def look() -> Status:
            try:
                with self._workplace.work(keep=False) as work:
                    found: dict[str, JSON] = {**changes_as_json(work.status()), "busy": None}
            except WorkDirectoryBusy as error:
                found = {**changes_as_json(Changes()), "clean": False, "busy": str(error)}
            about = {"head": self._workplace.head_hash, "workdir": str(self._workplace.path)}
            isolation = self.settings.isolation
            about |= {"state_dir": str(self.settings.state_dir), "isolation": isolation.name}
            return Status(**found, **about, promise=isolation.promise)

        return await self._call(look)

    async def checkout(self, ref: str, force: bool = False, *, borrow: bool = False) -> Layer:
        """Bring the work directory to a layer. Changes by hand are seen to as ``on_dirty`` says; ``force`` discards.

        With ``borrow`` the work directory is not held after it.
        """

        def check_out() -> Layer:
            hash = self._hash(ref)
            with self._workplace.work(keep=not borrow) as work:
                self._workplace.make_clean(work, force=force)
                self._workplace.move(work, hash)
            return self._layer(hash)

        return await self._call(check_out)

    async def commit(self, message: str) -> Layer:
        """Adopt what somebody changed by hand in the work directory as a layer."""

        def adopt() -> Layer:
            with self._workplace.work() as work:
                return Layer.of(self._workplace.commit(work, message))

        return await self._call(adopt)

    async def rebuild(self) -> Changes:
        """Write the work directory anew from its head, every object read and checked; what was undone by it."""

        def restore() -> Changes:
            with self._workplace.work() as work:
                return work.restore()

        return await self._call(restore)

    async def reset(self, force: bool = False) -> None:
        """Begin again: an empty work directory, without a head. No layer is deleted."""

        def begin_again() -> None:
            with self._workplace.work() as work:
                self._workplace.make_clean(work, force=force)
                work.clear()

        await self._call(begin_again)
