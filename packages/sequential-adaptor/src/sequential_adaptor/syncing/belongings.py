"""What runs need besides their records: task functions and the keystore."""

from __future__ import annotations

from collections.abc import Iterable

from sequential_adaptor import values
from sequential_adaptor.errors import NotOffered
from sequential_adaptor.storage import StorageAdapter
from sequential_adaptor.syncing.summary import Summary


class Functions:
    """Brings functions to the target: the versions that are asked for, and those that are current.

    The source's current version is current at the target then, unless the target's is one that the source does not
    know: that was published at the target, and stays the current one.
    """

    def __init__(self, source: StorageAdapter, target: StorageAdapter, summary: Summary) -> None:
        self._source, self._target, self._summary = source, target, summary
        self._brought: set[tuple[str, str]] = set()

    async def bring(self, identifier: str, version: str = "") -> None:
        """Have a version and the current one there; without a version, only that."""
        if (identifier, version) in self._brought:
            return
        self._brought.add((identifier, version))
        current = await self._source.get_task_function(identifier)
        before = await self._target.get_task_function(identifier)
        stays = before is not None and await self._source.get_task_function(identifier, before.version) is None
        last = before if stays else current
        missing = [await self._bring(identifier, wanted) for wanted in (version, current.version if current else "")]
        if last is not None and (any(missing) or before is None or before.version != last.version):
            await self._target.store_task_function(last)

    async def _bring(self, identifier: str, version: str) -> bool:
        if not version or await self._target.get_task_function(identifier, version) is not None:
            return False
        function = await self._source.get_task_function(identifier, version)
        if function is None:
            self._summary.notes.append(f"version {version[:12]} of {identifier} is missing at the source")
            return False
        await self._target.store_task_function(function)
        self._summary.functions += 1
        return True


async def identifiers(source: StorageAdapter, summary: Summary) -> list[str]:
    """Every function of the source, where it can say so."""
    try:
        return await source.list_task_functions()
    except NotOffered:
        summary.notes.append("the source cannot list its functions: those that no run uses were not copied")
        return []


async def copy_keys(source: StorageAdapter, target: StorageAdapter, summary: Summary) -> None:
    """Copy the keystore. A key that the target has keeps its value."""
    try:
        keys = await source.list_keystore()
    except NotOffered:
        summary.notes.append("the source cannot list its keystore: it was not copied")
        return
    there = await _keys_there(target, keys)
    for key in keys:
        value = await source.get_keystore(key)
        if value is None and key not in await source.list_keystore():
            continue  # it was deleted since the keys were listed
        if key not in there:
            await target.set_keystore(key, value)
            summary.keys += 1
        elif not values.identical(await target.get_keystore(key), value):
            summary.kept.append(key)


async def _keys_there(target: StorageAdapter, keys: Iterable[str]) -> set[str]:
    try:
        return set(await target.list_keystore())
    except NotOffered:
        return {key for key in keys if await target.get_keystore(key) is not None}
