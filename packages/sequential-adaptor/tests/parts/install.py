"""Installs what the tests need beside Python packages: run it as a program, with any Python from 3.11.

Debian's bubblewrap by apt (as root, or with sudo), on Linux. What is there already is left alone. Where it cannot be
installed, the tests that need it say so, and fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {"bwrap": "bubblewrap"}


def main() -> None:
    """Install what is missing."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if sys.platform != "linux" or not missing:
        return
    if shutil.which("apt-get") is None:
        print(f"install {', '.join(missing)} by hand: there is no apt-get here", file=sys.stderr)
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-qq", "--yes", "--no-install-recommends", *missing]):
        subprocess.run([*sudo, "apt-get", *words], env=environment, check=True)


if __name__ == "__main__":
    main()
