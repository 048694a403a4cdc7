"""Real work as layers: packages from an index, a build, its tests; again from nothing; and with one line changed.

Prints seconds for each step of each round, in each isolation that can reach what it needs. Run it:
``python benchmarks/container_build.py``
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from sequential_adaptor.runners.base import Suspended
from sequential_adaptor.runners.container import ContainerRunner, Layer
from sequential_adaptor.runners.container.scripts import read_script

PACKAGES = "setuptools wheel pytest attrs click idna packaging six"
INHERITED = [name for name in os.environ if name.startswith(("PIP_", "SSL_CERT_", "REQUESTS_CA_"))]
PYTHON = sys.executable
SCRIPT = f"""
# %% packages
{PYTHON} -m pip install --quiet --target site --no-compile {PACKAGES}
# %% sources
mkdir -p src/oracle tests
echo 'ANSWER = 42' > src/oracle/__init__.py
printf 'import oracle\\n\\ndef test_answer():\\n    assert oracle.ANSWER > 0\\n' > tests/test_oracle.py
printf '[project]\\nname = "oracle"\\nversion = "1"\\n[build-system]\\nrequires = ["setuptools"]\\n' > pyproject.toml
printf 'build-backend = "setuptools.build_meta"\\n' >> pyproject.toml
# %% build
PYTHONPATH=site {PYTHON} -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
{PYTHON} -m pip install --quiet --target built --no-deps dist/oracle-1-py3-none-any.whl
# %% test
PYTHONPATH=site:built {PYTHON} -m pytest -q -p no:cacheprovider tests
"""


async def build(runner: ContainerRunner, script: str) -> list[tuple[str, float, Layer]]:
    """The layers of a script, with the seconds that each took."""
    position: Suspended | None = await runner.begin(read_script(script))
    found = []
    while position is not None:
        title = position.calls[0].operation.removeprefix("step:")
        began = time.perf_counter()
        layer, position = await runner.advance(position.state, None)
        found.append((title, time.perf_counter() - began, layer))
    return found


def tell(round: str, layers: list[tuple[str, float, Layer]]) -> None:
    """One line for each step."""
    for title, seconds, layer in layers:
        how = "hit" if layer.cached else "run"
        print(f"  {round:12} {title:10} {seconds:8.3f} s  {how}  {len(layer.changed.added):5} added")
    print(f"  {round:12} {'all':10} {sum(seconds for _, seconds, _ in layers):8.3f} s")


async def measure(isolation: str) -> None:
    """Three rounds."""
    print(f"isolation {isolation}")
    with tempfile.TemporaryDirectory() as folder:
        runner = ContainerRunner(Path(folder) / "state", isolation=isolation, inherit=INHERITED)
        await runner.init()
        try:
            tell("first", await build(runner, SCRIPT))
            tell("again", await build(runner, SCRIPT))
            tell("one line", await build(runner, SCRIPT.replace("ANSWER = 42", "ANSWER = 43")))
        finally:
            await runner.dispose()


if __name__ == "__main__":
    for name in sys.argv[1:] or ("none", "overlay"):
        asyncio.run(measure(name))
