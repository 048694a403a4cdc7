"""The kit is loud: about laws that are gone, differences that nobody knows, and a fixture that was forgotten."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

LOOPS = "asyncio_default_fixture_loop_scope=function"
HEAD = """
import pytest
from sequential_adaptor.backends.folder import FolderAdapter
from sequential_adaptor.ids import new_id
from sequential_adaptor.testing import Storage, StorageLaws

class TestIt(StorageLaws):
    @pytest.fixture
    def new_store(self, tmp_path):
        return lambda: Storage(FolderAdapter, base_path=tmp_path / new_id())
"""


def run(pytester: Any, body: str, *options: str, head: str = HEAD) -> Any:
    """Run the kit on the folder adapter, in a process of its own, with ``body`` in the test class."""
    pytester.makepyfile(test_it=head + "\n" + "\n".join(f"    {line}" for line in body.splitlines()))
    options = ("-q", "-p", "no:randomly", "--asyncio-mode=strict", "-o", LOOPS, "-W", "error", *options)
    return pytester.runpytest_subprocess(*options, timeout=120)


@pytest.mark.parametrize(
    "body",
    [
        "test_deleting_says_whether_there_was_one = None",
        "async def test_deleting_says_whether_there_was_one(self): pass",
    ],
    ids=["removed", "overridden"],
)
def test_a_law_that_is_gone_is_noticed(pytester: Any, body: str) -> None:
    """Removing or overriding an inherited law fails the guard, which names the law."""
    result = run(pytester, body, "-k", "no_law_is_missing")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*declare these in `differences`*test_deleting_says_whether_there_was_one*"])


def test_differences_that_nobody_knows_are_noticed(pytester: Any) -> None:
    """A declared difference is a capability or a law, and has a reason; ``atomic`` is the adapter's to declare."""
    result = run(
        pytester, "differences = {'procesess': 'a slip', 'R99': 'no law', 'atomic': 'no'}", "-k", "differences"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no capability and no law: R99, atomic, procesess*"])


def test_a_reason_is_asked_for(pytester: Any) -> None:
    """A difference without a reason fails the guard."""
    run(pytester, "differences = {'K3': ''}", "-k", "differences").assert_outcomes(failed=1)


def test_differences_are_skipped_by_name_and_reported(pytester: Any) -> None:
    """Declared differences skip their laws, and the report says which and why, also when tests run side by side."""
    body = "differences = {'K3': 'nothing is deleted here', 'sharing': 'one at a time'}"
    for options in ((), ("-n", "2")):
        result = run(pytester, body, "-k", "Keystore or keystore or deleting or falsy or other_adapters_see", *options)
        result.stdout.fnmatch_lines(["*= storage laws =*", "*TestIt: * kept, 0 broken, 3 not offered"])
        result.stdout.fnmatch_lines(["*not offered, nothing is deleted here: K3"])
        result.stdout.fnmatch_lines(["*not offered, sharing: one at a time: H8, K7"])


def test_a_forgotten_fixture_is_loud(pytester: Any) -> None:
    """Without ``new_store`` every law fails, and says what to write."""
    head = "from sequential_adaptor.testing import StorageLaws\nclass TestIt(StorageLaws):\n"
    result = run(pytester, "pass", "-k", "test_keys_are_kept_apart", head=head)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*NotImplementedError: give TestIt its fixture:*"])


def test_a_broken_law_is_readable(pytester: Any) -> None:
    """A failed law shows the values that it compared, and the report counts it as broken."""
    faulty = "class Broken(FolderAdapter):\n    async def get_keystore(self, key): return 'x'\nclass TestIt"
    head = HEAD.replace("class TestIt", faulty)
    head = head.replace("Storage(FolderAdapter", "Storage(Broken")
    result = run(pytester, "pass", "-k", "test_keys_are_kept_apart", head=head)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert *'x'*", "*TestIt: 0 kept, 1 broken, 0 not offered"])


def test_the_plugin_needs_nothing_but_pytest() -> None:
    """The plug-in, which is loaded wherever pytest runs, imports neither hypothesis nor pytest-asyncio nor any law."""
    code = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest_asyncio'] = None\n"
        "import sequential_adaptor.testing.plugin\n"
        "assert not [name for name in sys.modules if name.startswith('sequential_adaptor.testing.laws')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_does_not_need_the_kit() -> None:
    """No module of the library imports the kit."""
    code = (
        "import sys, sequential_adaptor\n"
        "import sequential_adaptor.storage, sequential_adaptor.records, sequential_adaptor.runners\n"
        "assert not [name for name in sys.modules if name.startswith('sequential_adaptor.testing')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
