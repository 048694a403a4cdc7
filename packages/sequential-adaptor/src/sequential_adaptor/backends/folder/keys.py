"""The keystore: a file for each key, replaced in one step; no journal, no cache."""

from __future__ import annotations

from sequential_adaptor import values
from sequential_adaptor.backends.folder.disk import Disk
from sequential_adaptor.backends.folder.paths import Paths
from sequential_adaptor.backends.folder.record_files import damaged, read_checked, with_checksum
from sequential_adaptor.values import JSON


class Keys:
    """The keys of one store. Changes need the commit lock."""

    def __init__(self, paths: Paths, disk: Disk) -> None:
        self._paths, self._disk = paths, disk

    def get(self, key: str) -> JSON:
        """The value of a key, or ``None``."""
        path = self._paths.key(key)
        try:
            found = read_checked(path)
        except FileNotFoundError:
            return None
        if found.get("key") != key:
            raise damaged(path, f"it holds key {found.get('key')!r}")
        return found["value"]

    def set(self, key: str, text: str) -> None:
        """Keep a value, given as JSON text."""
        path = self._paths.key(key)
        body = f'  "key": {values.encode(key)},\n  "value": {text}\n}}\n'
        self._disk.replace(path, with_checksum(body), sync=True)
        self._disk.sync_path(path.parent)

    def delete(self, key: str) -> bool:
        """Forget a key; say whether there was one."""
        path = self._paths.key(key)
        found = self._disk.remove(path)
        if found:
            self._disk.sync_path(path.parent)
        return found
