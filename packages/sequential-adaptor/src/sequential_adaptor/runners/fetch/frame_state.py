"""What is stored of a frame besides its calls: the seed of its chance, and what its replay depends on."""

from __future__ import annotations

from sequential_adaptor.runners.fetch import fingerprints
from sequential_adaptor.runners.fetch.chance import new_seed
from sequential_adaptor.runners.fetch.copies import fresh
from sequential_adaptor.values import JSON


class FrameState:
    """``{"seed", "python", "modules"}``: made when a frame first runs, and kept as it is; ``modules`` may grow."""

    def __init__(self, stored: JSON) -> None:
        known = stored if isinstance(stored, dict) else {}
        self.seed: str = known.get("seed") or new_seed()
        self._python: str = known.get("python") or fingerprints.python_version()
        self._modules: dict[str, str] = known.get("modules") or {}
        self._imported = 0
        self._stored = stored

    def news(self, imported: set[str]) -> dict[str, JSON] | None:
        """The state to store, now that the task has imported these modules; ``None`` where it is stored as it is."""
        if len(imported) != self._imported:
            self._imported = len(imported)
            self._modules = {**self._modules, **fingerprints.of(imported - self._modules.keys())}
        state = {"seed": self.seed, "python": self._python, "modules": self._modules}
        if state == self._stored:
            return None
        self._stored = state
        return fresh(state)  # type: ignore[no-any-return]  # a copy of a dict

    def what_changed(self) -> str:
        """A sentence about what the replay depends on and is not as it was."""
        return fingerprints.changes(self._python, self._modules)
