"""Isolation by Debian's bubblewrap: namespaces without privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.errors import IsolationUnavailable
from sequential_adaptor.runners.container.isolation.base import Isolation, Place
from sequential_adaptor.runners.container.supervising import Order

_ROOTS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "alternatives",
    "ca-certificates",
    "group",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "nsswitch.conf",
    "passwd",
    "pki",
    "ssl",
)
_OF_NETWORK = ("gai.conf", "host.conf", "resolv.conf", "services")
_INSTALL = "Install it: apt install bubblewrap"
_ALLOW = (
    "Let users make user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 and later"
    " kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap)"
)


class Bubblewrap(Isolation):
    """``isolation="bwrap"``; ``binds`` are folders and files that the command may read beside those it gets anyway."""

    name: ClassVar[str] = "bwrap"
    promise: ClassVar[str] = (
        "A command sees /usr, a few files of /etc, the work directory, an empty home and /tmp, and what was bound for"
        " it; it writes in the work directory, home and /tmp alone. It has no capabilities, no network unless asked"
        " for, and sees no other processes. The kernel is shared: it is no virtual machine."
    )

    def __init__(self, *, network: bool = False, binds: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._network = network
        self._binds = tuple(os.path.abspath(path) for path in binds)

    @property
    def key(self) -> str:
        """Its name, and what was let in."""
        return " ".join([self.name, *(["network"] if self._network else []), *(f"bind={path}" for path in self._binds)])

    def check(self, scratch: Path) -> None:
        """Start a command that does nothing."""
        for path in self._binds:
            if not os.path.exists(path):
                raise ConfigurationError(f"there is no {path} to bind")
        trial = [self._program(), *self._system(), "--", "/bin/sh", "-c", ":"]
        found = subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, env={}, timeout=60, check=False)
        if found.returncode != 0:
            said = found.stderr.decode("utf-8", "replace").strip() or f"it ended with {found.returncode}"
            raise IsolationUnavailable(self.name, f"bubblewrap does not work ({said})", _ALLOW)

    def order(self, argv: Sequence[str], environment: Mapping[str, str], place: Place, stdin: bytes | None) -> Order:
        """The command inside."""
        inside = [
            *(word for path in self._binds for word in ("--ro-bind", path, path)),
            *("--bind", os.fspath(place.home), os.fspath(place.home)),
            *("--bind", os.fspath(place.work), os.fspath(place.work)),
            *("--chdir", os.fspath(place.work)),
        ]
        words = [self._program(), *self._system(), *inside, "--", *argv]
        return Order(tuple(map(os.fsencode, words)), environment, Path("/"), stdin)

    def _program(self) -> str:
        found = shutil.which("bwrap")
        if found is None:
            raise IsolationUnavailable(self.name, "bubblewrap is not installed", _INSTALL)
        return found

    def _system(self) -> list[str]:
        words = ["--unshare-all", *(["--share-net"] if self._network else []), "--die-with-parent"]
        words += ["--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
        for root in _ROOTS:
            if os.path.islink(root):
                words += ["--symlink", os.readlink(root), root]
            elif os.path.isdir(root):
                words += ["--ro-bind", root, root]
        for name in (*_SETTINGS, *(_OF_NETWORK if self._network else ())):
            words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        return [*words, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--dir", "/run"]
