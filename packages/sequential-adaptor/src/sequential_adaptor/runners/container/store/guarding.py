"""Which folders may be work directories: none in which a checkout could take away what is not its own."""

from __future__ import annotations

from pathlib import Path

from sequential_adaptor.runners.container.store.errors import RefusedDirectory
from sequential_adaptor.runners.container.store.places import Places


def allowed(path: Path, places: Places) -> Path:
    """The path with all links resolved, or :class:`RefusedDirectory`."""
    found, state = path.expanduser().resolve(), places.state.resolve()
    _refuse_common(found)
    work, forks = state / places.work.name, state / places.forks.name
    if found == work or found.parent == forks:
        return found
    if found.is_relative_to(state):
        remedy = f"use {work}, a folder below {forks}, or one outside of {state}"
        raise RefusedDirectory(str(found), "it lies in the state folder, which must not capture itself", remedy)
    if state.is_relative_to(found):
        remedy = "keep the state folder outside of the work directory: state_dir=..."
        raise RefusedDirectory(str(found), f"it holds the state folder {state}, which must not capture itself", remedy)
    return found


def _refuse_common(found: Path) -> None:
    home = Path.home().resolve()
    remedy = "use a folder of its own"
    if found == Path(found.anchor):
        raise RefusedDirectory(str(found), "it is the root of the file system", remedy)
    if found == home:
        raise RefusedDirectory(str(found), "it is the home folder", remedy)
    if home.is_relative_to(found):
        raise RefusedDirectory(str(found), f"it holds the home folder {home}", remedy)
    if found.exists() and not found.is_dir():
        raise RefusedDirectory(str(found), "it is not a folder", remedy)
