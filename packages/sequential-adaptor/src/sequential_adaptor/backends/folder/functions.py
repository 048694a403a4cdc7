"""Task functions: real ``.py`` files, their versions beside them, and a list of the versions.

The current version is what ``<identifier>.py`` says. So a source that somebody edits is a new version when it is next
read, and a store that was interrupted half-way is as if it had not been begun: the ``.py`` is replaced last.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sequential_adaptor import values
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.record_files import damaged, read_checked, with_checksum
from sequential_adaptor.records import TaskFunction, from_json, to_json, version_of
from sequential_adaptor.storage.filling import new_task_function
from sequential_adaptor.values import JSON


class Functions:
    """The functions of one store. Changes need the commit lock."""

    def __init__(self, paths: Paths, disk: Disk) -> None:
        self._paths, self._disk = paths, disk
        self._cache: dict[str, tuple[tuple[int, ...], TaskFunction]] = {}

    def get(self, identifier: str, version: str | None) -> TaskFunction | None:
        """A version, or the current one. ``LookupError``: the source was edited, and :meth:`adopt` makes it a
        version.
        """
        if version is not None:
            return self._version(identifier, version)
        stamp = self._stamp(identifier)
        cached = self._cache.get(identifier)
        if cached is not None and cached[0] == stamp:
            return copied(cached[1])
        code = self._source(identifier)
        known = self._known(identifier)
        if code is None:
            return None if known is None else self._version(identifier, known["current"])
        found = None if known is None else self._version(identifier, known["current"])
        if found is None or found.code != code:
            raise LookupError(identifier)
        self._cache[identifier] = stamp, found
        return copied(found)

    def adopt(self, identifier: str) -> TaskFunction | None:
        """Make an edited source a new version, or one with no versions at all the first; give back the current one.

        The source stays as it is: whoever edits it may still be writing.
        """
        code = self._source(identifier)
        known = self._known(identifier)
        last = None if known is None else self._version(identifier, known["current"])
        if code is None or (last is not None and last.code == code):
            return last
        if last is None:
            function = new_task_function(identifier, code, "fetch", None, datetime.now(UTC))
        else:
            edited = last.replace(code=code, version="", created_at=None)
            function = self._earlier(known, code) or new_task_function(edited, None, "", None, datetime.now(UTC))
        return self._keep(function)

    def _earlier(self, known: dict[str, Any] | None, code: str) -> TaskFunction | None:
        """The latest version with this source: an edit was taken back, or a store of another was interrupted."""
        rows = [] if known is None else reversed(known["versions"])
        row = next((row for row in rows if version_of(code, row.get("modules")) == row["version"]), None)
        return None if row is None else from_json(TaskFunction, {**row, "code": code})

    def store(self, function: TaskFunction) -> TaskFunction:
        """Make a version the current one, whether it is new or not; give back what is stored."""
        stored = self._keep(function)
        self._write(self._paths.source(function.identifier), function.code.encode("utf-8"))
        return stored

    def _keep(self, function: TaskFunction) -> TaskFunction:
        """Put a version, and the list that calls it current, beside the source."""
        identifier = function.identifier
        known = self._known(identifier) or {"identifier": identifier, "current": "", "versions": []}
        rows: list[dict[str, JSON]] = known["versions"]
        before = next((row for row in rows if row["version"] == function.version), None)
        if before is not None:
            function = function.replace(created_at=from_json(TaskFunction, before).created_at)
            rows.remove(before)
        row = {name: value for name, value in to_json(function).items() if name != "code" and value is not None}
        self._write(self._paths.version_source(identifier, function.version), function.code.encode("utf-8"))
        self._write(self._paths.versions(identifier), _list_bytes(identifier, function.version, [*rows, row]))
        return copied(function)

    def _write(self, path: Path, data: bytes) -> None:
        self._disk.make_folders([path.parent])
        self._disk.replace(path, data, sync=True)
        self._disk.sync_path(path.parent)

    def _source(self, identifier: str) -> str | None:
        path = self._paths.source(identifier)
        try:
            return path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise damaged(path, f"it is not UTF-8 ({error})") from None

    def _known(self, identifier: str) -> dict[str, Any] | None:
        path = self._paths.versions(identifier)
        try:
            found = read_checked(path)
        except FileNotFoundError:
            return None
        if found.get("identifier") != identifier:
            raise damaged(path, f"it holds function {found.get('identifier')!r}")
        return found

    def _version(self, identifier: str, version: str) -> TaskFunction | None:
        known = self._known(identifier)
        row = next((row for row in known["versions"] if row["version"] == version), None) if known else None
        if row is None:
            return None
        path = self._paths.version_source(identifier, version)
        try:
            code = path.read_bytes().decode("utf-8")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise damaged(path, f"the source of a version cannot be read ({error})") from error
        if version_of(code, row.get("modules")) != version:
            raise damaged(
                path, "it is not the source that its version was made from; edit the function's own .py instead"
            )
        return from_json(TaskFunction, {**row, "code": code})

    def _stamp(self, identifier: str) -> tuple[int, ...]:
        """What changes when either file does."""
        stamp: list[int] = []
        for path in (self._paths.source(identifier), self._paths.versions(identifier)):
            try:
                found = os.stat(path)
            except FileNotFoundError:
                stamp.append(0)
            else:
                stamp += (found.st_ino, found.st_mtime_ns, found.st_size)
        return tuple(stamp)


def _list_bytes(identifier: str, current: str, rows: list[dict[str, JSON]]) -> bytes:
    text = values.encode_readable({"identifier": identifier, "current": current, "versions": rows})
    return with_checksum(text.removeprefix("{\n") + "\n")


def copied(function: TaskFunction) -> TaskFunction:
    """The same function, sharing no payload with this one."""
    return function.replace(modules=values.copy(function.modules), metadata=values.copy(function.metadata))
