"""What imports cost, in milliseconds of CPU: ``python import_cost.py [RUNS]``.

Each figure is the least of many runs, each in an interpreter of its own, with bytecode cached.
"""

from __future__ import annotations

import subprocess
import sys

BUDGETS = [
    ("import sequential_adaptor", "pass", 80.0),
    ("from sequential_adaptor import Engine", "import asyncio", 80.0),
    ("from sequential_adaptor import create_adapter", "import asyncio", None),
    ("import sequential_adaptor; sequential_adaptor.list('adapter')", "import asyncio", None),
    ("from sequential_adaptor import FolderAdapter", "import asyncio", None),
    ("import sequential_adaptor.cli", "pass", None),
]


def cost(statement: str, beyond: str, runs: int) -> float:
    """Milliseconds of CPU that ``statement`` takes where ``beyond`` has been run before."""
    code = f"import time\n{beyond}\nstart = time.process_time()\n{statement}\nprint(time.process_time() - start)"
    return 1000 * min(_run(code) for _ in range(runs))


def _run(code: str) -> float:
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"Python {sys.version.split()[0]}, least of {runs} runs, ms of CPU")
    for statement, beyond, budget in BUDGETS:
        beside = "" if beyond == "pass" else f"  (beyond `{beyond}`)"
        limit = "" if budget is None else f"  at most {budget:g}"
        print(f"{cost(statement, beyond, runs):7.1f}  {statement}{beside}{limit}")


if __name__ == "__main__":
    main()
