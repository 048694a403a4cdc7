"""The layers of work directories: content that is stored once, moved between by differences, and checked when read.

    with LayerStore.open(".statekit") as store:
        work = store.work_directory()              # holds the writer's lock of <state_dir>/work
        (work.path / "a").write_text("one")
        capture = work.capture()                   # objects are safe in the packs
        layer = work.publish("<64 hex>", capture, {"command": "echo one > a"})
        work.checkout(layer.parent or layer.hash)
        store.diff(layer.parent, layer.hash)       # Changes(added, modified, deleted)

All methods block and may be called from any thread; each store and work directory does one thing at a time. A ``ref``
is a full hash, an unambiguous beginning of one (4 digits or more), or a tag.

What a layer keeps of a file: its name in bytes, its kind, its permission bits and sticky bit, its content or the
target of the link, and (outside of its identity) its modification time. What it does not keep: owners, setuid and
setgid bits (they mean nothing without the owner, and would be a way in), extended attributes, ACLs, and which names
were hard links of one file (each name has the content). FIFOs and sockets are kept as what they are and never opened;
devices are refused by name.
"""

from sequential_adaptor.runners.container.store.errors import (
    ArchiveRefused,
    NoRoom,
    NotCapturable,
    RefusedDirectory,
    UnknownLayer,
    UnknownPath,
    WorkDirectoryBusy,
    WorkDirectoryMoved,
)
from sequential_adaptor.runners.container.store.names import printable
from sequential_adaptor.runners.container.store.records import (
    Capture,
    Changes,
    Collected,
    Damage,
    LayerRecord,
    Report,
    Usage,
)
from sequential_adaptor.runners.container.store.store import LayerStore
from sequential_adaptor.runners.container.store.work import WorkDirectory

__all__ = [
    "ArchiveRefused",
    "Capture",
    "Changes",
    "Collected",
    "Damage",
    "LayerRecord",
    "LayerStore",
    "NoRoom",
    "NotCapturable",
    "RefusedDirectory",
    "Report",
    "UnknownLayer",
    "UnknownPath",
    "Usage",
    "WorkDirectory",
    "WorkDirectoryBusy",
    "WorkDirectoryMoved",
    "printable",
]
