"""What the layer store refuses, and why; all of it is a :class:`~sequential_adaptor.errors.SequentialError`.

    ConfigurationError
    └── RefusedDirectory                   a work directory or state folder that would put other files in danger
    StorageError
    ├── UnknownLayer (LookupError)         no layer, or more than one, answers to a reference
    ├── UnknownPath (LookupError)          a layer has no such file
    ├── WorkDirectoryBusy                  another runner holds the work directory
    ├── WorkDirectoryMoved                 it changed under the hands of the store
    ├── NotCapturable                      a file that cannot be kept, by name: unreadable, changing, a device
    └── ArchiveRefused (ValueError)        an archive that is damaged, hostile, or not an archive

Damage of what is stored is ``StorageDamaged``; a full disk is ``StorageUnavailable``.
"""

from __future__ import annotations

from collections.abc import Sequence

from sequential_adaptor.errors import ConfigurationError, StorageError, StorageUnavailable

_SHOWN = 10


class RefusedDirectory(ConfigurationError):
    """A work directory or state folder that would put other files in danger."""

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be the work directory: {reason}; {remedy}")


class UnknownLayer(StorageError, LookupError):
    """No layer answers to a reference, or several do: ``choices`` are the short hashes and tags that would."""

    def __init__(self, ref: str, choices: Sequence[str], *, ambiguous: bool = False) -> None:
        self.ref, self.choices, self.ambiguous = ref, tuple(choices), ambiguous
        shown = ", ".join(self.choices[:_SHOWN]) + (", ..." if len(self.choices) > _SHOWN else "")
        if ambiguous:
            message = f"{ref!r} is the beginning of several layers ({shown}); write more of it"
        else:
            message = f"no layer or tag {ref!r} (there are: {shown or 'none yet'})"
        super().__init__(message)


class UnknownPath(StorageError, LookupError):
    """A layer has no such file, or it is of another kind than was asked for."""

    def __init__(self, path: str, layer: str, reason: str) -> None:
        self.path, self.layer = path, layer
        super().__init__(f"{path!r} in layer {layer[:12]}: {reason}")


class WorkDirectoryBusy(StorageError):
    """Another runner, here or in another process, holds the work directory."""

    def __init__(self, path: str, holder: int | None) -> None:
        self.path, self.holder = path, holder
        who = f"process {holder}" if holder else "another runner"
        super().__init__(f"{path} is in use by {who}; wait for it, or fork into a work directory of its own")


class WorkDirectoryMoved(StorageError):
    """The work directory was taken away, or changed by somebody else while the store worked in it."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path!r}: {reason}")


class NotCapturable(StorageError):
    """A file that cannot be kept: it cannot be read, it changed while it was read, or it is a device."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path!r} cannot be kept: {reason}")


class ArchiveRefused(StorageError, ValueError):
    """An archive that is damaged, too large, hostile, or none; nothing of it was kept."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} was not imported: {reason}")


class NoRoom(StorageUnavailable):
    """The disk or quota of the state folder or the work directory is full; the head is as it was."""

    def __init__(self, path: str, error: OSError) -> None:
        self.path = path
        super().__init__(f"{path}: {error.strerror}; the head is as it was. Make room, or run gc()")
