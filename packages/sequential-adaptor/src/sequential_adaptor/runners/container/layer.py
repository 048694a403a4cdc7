"""What a runner gives back: layers, the state of a work directory, and commands that left none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sequential_adaptor.records import time_from_text
from sequential_adaptor.runners.base import Completed
from sequential_adaptor.runners.container.store import Changes, LayerRecord
from sequential_adaptor.values import JSON


class Layer(Completed):
    """A state of the work directory that is kept, and how it came about; ``result`` is all of it as JSON.

    It never changes. ``cached``: nothing was run for it this time.
    """

    @classmethod
    def of(cls, record: LayerRecord, *, cached: bool = False, **own: JSON) -> Self:
        """The layer of a record; ``own`` is what this run of its command gave, where it was run."""
        kept: Mapping[str, JSON] = {**record.fields, **own}
        return cls(
            {
                "hash": record.hash,
                "short": record.short,
                "parent": record.parent,
                "cached": cached,
                "kind": kept.get("kind", "command"),
                "command": kept.get("command"),
                "exit_code": kept.get("exit_code", 0),
                "stdout": kept.get("stdout", ""),
                "stderr": kept.get("stderr", ""),
                "changed": kept.get("changed") or {"added": [], "modified": [], "deleted": []},
                "time": kept.get("time"),
                "seconds": kept.get("seconds"),
                "size": record.size,
                "stored": record.stored,
                **{name: kept[name] for name in ("message", "input", "isolation", "environment") if kept.get(name)},
            }
        )

    @property
    def hash(self) -> str:
        """64 hex digits, over key, content and parent."""
        return str(self.result["hash"])

    @property
    def short(self) -> str:
        """The first 12 digits of the hash."""
        return str(self.result["short"])

    @property
    def parent(self) -> str | None:
        """The hash of the layer that it began on; ``None``: an empty folder."""
        found: str | None = self.result["parent"]
        return found

    @property
    def cached(self) -> bool:
        """Whether it was there already, and nothing was run."""
        return bool(self.result["cached"])

    @property
    def kind(self) -> str:
        """``command``, ``commit`` (changes by hand) or ``import``."""
        return str(self.result["kind"])

    @property
    def command(self) -> str | None:
        """The command that made it."""
        found: str | None = self.result["command"]
        return found

    @property
    def exit_code(self) -> int:
        """0: a command that fails leaves no layer."""
        return int(self.result["exit_code"])

    @property
    def stdout(self) -> str:
        """What the command printed, up to the limit of the runner that ran it."""
        return str(self.result["stdout"])

    @property
    def stderr(self) -> str:
        """The same of its other stream."""
        return str(self.result["stderr"])

    @property
    def changed(self) -> Changes:
        """Sorted paths of files and folders that differ from the parent; bytes that are no text as ``\\xff``."""
        return Changes(**{name: tuple(paths) for name, paths in self.result["changed"].items()})

    @property
    def time(self) -> datetime | None:
        """When it was made."""
        found = self.result["time"]
        return None if found is None else time_from_text(found)

    @property
    def seconds(self) -> float | None:
        """How long the command took when it was run."""
        found: float | None = self.result["seconds"]
        return found

    @property
    def size(self) -> int:
        """Bytes of all files in it; ``result["stored"]`` is what it added to the store."""
        return int(self.result["size"])

    def __repr__(self) -> str:
        what = self.command if self.kind == "command" else self.result.get("message")
        return f"Layer({self.short}, {what!r}{', cached' if self.cached else ''})"


class Status(dict[str, Any]):
    """The state of a work directory: what differs from its head, and what it is about.

    A dict of JSON (``added``, ``modified``, ``deleted``, ``clean``, ``head``, ``workdir``, ``state_dir``,
    ``isolation``, ``busy``), whose changes are attributes as well.
    """

    @property
    def added(self) -> list[str]:
        """Sorted paths."""
        return list(self["added"])

    @property
    def modified(self) -> list[str]:
        """Sorted paths."""
        return list(self["modified"])

    @property
    def deleted(self) -> list[str]:
        """Sorted paths."""
        return list(self["deleted"])

    @property
    def clean(self) -> bool:
        """Whether the work directory is as its head left it."""
        return bool(self["clean"])


@dataclass(frozen=True, slots=True)
class Executed:
    """A command that left no layer."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    def as_json(self) -> dict[str, JSON]:
        """All of it."""
        return {
            "exit_code": self.exit_code,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "seconds": self.seconds,
        }
