"""Isolation of the work directory by overlayfs in a user namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sequential_adaptor.runners.container.errors import IsolationUnavailable
from sequential_adaptor.runners.container.isolation.base import Isolation, Place
from sequential_adaptor.runners.container.supervising import Order, Output, Overlay, Stop, supervise

_NAMESPACES = (
    "Let users make user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 and later"
    " kernel.apparmor_restrict_unprivileged_userns=0)"
)
_MOUNTS = (
    "It needs Linux 5.11 or later, and a state folder on ext4, xfs, btrfs or tmpfs; in a container, which is an overlay"
    " itself, on a volume"
)


class OverlayIsolation(Isolation):
    """``isolation="overlay"``"""

    name: ClassVar[str] = "overlay"
    promise: ClassVar[str] = (
        "What a command changes in the work directory goes to a folder of its own; the work directory is as it was"
        " until the command has succeeded, and whatever kills it leaves nothing to undo. It can gain no privileges."
        " Everything else is as with 'none': it protects against nothing."
    )
    changes_in_overlay: ClassVar[bool] = True

    def check(self, scratch: Path) -> None:
        """Lay one, and run a command that does nothing."""
        place = Place(scratch / "lower", scratch, scratch)
        place.work.mkdir(parents=True, exist_ok=True)
        stop = Stop()
        try:
            quiet = Output("stdout", (), 2, None), Output("stderr", (), 2, None)
            order = self.order(["/bin/sh", "-c", ":"], {}, place, None)
            report = supervise(order, *quiet, timeout=60, stop=stop)
        finally:
            stop.close()
        if report.refused is not None or report.exit_code != 0:
            raise _unavailable(*(report.refused or ("start", errno.EPERM)))

    def order(self, argv: Sequence[str], environment: Mapping[str, str], place: Place, stdin: bytes | None) -> Order:
        """The command, in a mount namespace in which the overlay is the work directory."""
        upper, work = self.upper(place), place.scratch / "work"
        for folder in (upper, work):
            folder.mkdir()
        # The root of the overlay has the mode of its upper folder.
        upper.chmod(place.work.stat().st_mode & 0o7777)
        overlay = Overlay(os.fsencode(place.work), os.fsencode(upper), os.fsencode(work))
        return Order(tuple(map(os.fsencode, argv)), environment, place.work, stdin, overlay)

    def upper(self, place: Place) -> Path:
        """The upper folder of the overlay."""
        return place.scratch / "upper"


def _unavailable(part: str, number: int) -> IsolationUnavailable:
    remedy = _MOUNTS if part == "mount" else _NAMESPACES
    what = {"mount": "no overlay can be mounted", "execute": "there is no /bin/sh"}.get(part, "no user namespace")
    return IsolationUnavailable("overlay", f"{what} ({part}: {os.strerror(number)})", remedy)
