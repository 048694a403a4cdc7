"""``load_plugins``: files and modules, all of a plugin or nothing of it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

import sequential_adaptor
from sequential_adaptor.errors import ConfigurationError, PluginError

WORKS = """
def make():
    return __name__

def register(registry):
    registry.register("loader", "from_plugin", make)
"""
WORKS_ASYNC = WORKS.replace("def register", "import asyncio\nasync def register").replace(
    "    registry.register", "    await asyncio.sleep(0)\n    registry.register"
)


@pytest.fixture
def plugin(tmp_path: Path, modules: set[str]) -> Any:
    def plugin(source: str, name: str = "plugin.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    return plugin


@pytest.mark.parametrize("source", [WORKS, WORKS_ASYNC])
@pytest.mark.parametrize("as_text", [True, False])
async def test_a_file_registers_what_it_has(public: Any, plugin: Any, source: str, as_text: bool) -> None:
    path = plugin(source)
    await public.load_plugins([str(path) if as_text else path])
    assert public.list("loader") == ["from_plugin"]
    assert (await public.create("loader", "from_plugin")) in sys.modules


async def test_a_module_is_loaded_by_its_name(public: Any, plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin("", "pack/__init__.py")
    monkeypatch.syspath_prepend(plugin(WORKS, "pack/plug.py").parents[1])
    await public.load_plugins(["pack.plug"])
    assert await public.create("loader", "from_plugin") == "pack.plug"


async def test_a_folder_with_an_init_is_a_plugin_with_modules_of_its_own(public: Any, plugin: Any) -> None:
    plugin("NAME = 'from_part'\n", "folder/part.py")
    path = plugin(
        "from .part import NAME\ndef register(registry):\n    registry.register('loader', NAME, dict)\n",
        "folder/__init__.py",
    )
    await public.load_plugins([path.parent])
    assert public.list("loader") == ["from_part"]


async def test_two_files_of_one_name_are_two_plugins(public: Any, plugin: Any) -> None:
    one = plugin(WORKS, "one/plugin.py")
    two = plugin(WORKS.replace("from_plugin", "from_two"), "two/plugin.py")
    await public.load_plugins([one, two])
    assert public.list("loader") == ["from_plugin", "from_two"]


async def test_loading_a_plugin_again_does_nothing(public: Any, plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plugin(WORKS.replace("make)", "lambda: make)"))
    monkeypatch.chdir(path.parent)
    await public.load_plugins([path, "./plugin.py", path.parent / "x" / ".." / "plugin.py"])
    assert public.list("loader") == ["from_plugin"]


def before_and_after(public: Any) -> tuple[Any, ...]:
    return ({type: dict(view) for type, view in public.registries.items() if type == "loader"}, set(sys.modules))


FAILURES = {
    "syntax": "def register(:\n",
    "import": "import no_such_module_at_all\n",
    "raises late": WORKS + "    raise RuntimeError('late')\n",
    "raises late, async": WORKS_ASYNC + "    raise RuntimeError('late')\n",
    "no register": "x = 1\n",
    "register is no function": "register = 3\n",
    "takes a taken name": WORKS + "    registry.register('loader', 'taken', make)\n",
    "registers at import": "import sequential_adaptor as s\ns.register('loader', 'at_import', dict)\nraise OSError\n",
    "registers by itself": "import sequential_adaptor as s\ndef register(registry):\n"
    "    s.register('loader', 'by_itself', dict)\n"
    "    s.register('loader', 'taken', list, replace=True)\n"
    "    raise OSError\n",
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("way", ["file", "module", "folder"])
async def test_a_plugin_that_fails_leaves_nothing_of_itself_behind(
    public: Any, plugin: Any, monkeypatch: pytest.MonkeyPatch, case: str, way: str
) -> None:
    public.register("loader", "taken", dict)
    plugin("", "failing/part.py")
    path = plugin(
        "import failing.part\n" + FAILURES[case] if way == "module" else FAILURES[case], "failing/__init__.py"
    )
    target: Any = {"file": path, "module": "failing", "folder": path.parent}[way]
    monkeypatch.syspath_prepend(path.parents[1])
    before = before_and_after(public)
    with pytest.raises(PluginError, match="did not load, and nothing of it is kept") as caught:
        await public.load_plugins([target])
    assert caught.value.__cause__ is not None
    assert before_and_after(public) == before


async def test_a_plugin_that_fails_can_be_mended_and_loaded(public: Any, plugin: Any) -> None:
    path = plugin("raise RuntimeError\n")
    with pytest.raises(PluginError):
        await public.load_plugins([path])
    plugin(WORKS + "# now longer, so that no cached bytecode fits\n")
    await public.load_plugins([path])
    assert public.list("loader") == ["from_plugin"]


async def test_a_submodule_that_fails_is_taken_off_its_package_too(
    public: Any, plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("", "whole/__init__.py")
    plugin("", "whole/helper.py")
    path = plugin("import whole.helper\nraise OSError\n", "whole/plug.py")
    monkeypatch.syspath_prepend(path.parents[1])
    whole: Any = __import__("whole")
    with pytest.raises(PluginError):
        await public.load_plugins(["whole.plug"])
    assert sys.modules["whole"] is whole
    assert not hasattr(whole, "helper")


async def test_those_before_one_that_fails_stay_and_those_after_it_are_not_tried(public: Any, plugin: Any) -> None:
    first, failing = plugin(WORKS, "first.py"), plugin("raise OSError\n", "failing.py")
    last = plugin("import sequential_adaptor\nsequential_adaptor.tried = True\n", "last.py")
    with pytest.raises(PluginError):
        await public.load_plugins([first, failing, last])
    assert public.list("loader") == ["from_plugin"]
    assert "tried" not in vars(sequential_adaptor)


async def test_a_plugin_that_loads_another_takes_it_along_when_it_fails(public: Any, plugin: Any) -> None:
    inner = plugin(WORKS, "inner.py")
    source = (
        f"import sequential_adaptor as s\nasync def register(registry):\n    await s.load_plugins([{str(inner)!r}])\n"
    )
    with pytest.raises(PluginError):
        await public.load_plugins([plugin(source + "    raise OSError\n", "outer.py")])
    assert public.list("loader") == []
    await public.load_plugins([inner])
    assert public.list("loader") == ["from_plugin"]


async def test_a_plugin_sees_what_is_registered_and_what_it_registers(public: Any, plugin: Any) -> None:
    public.register("loader", "before", dict)
    source = (
        "async def register(registry):\n    registry.register('loader', 'mine', list)\n"
        "    assert registry.list('loader') == ['before', 'mine'], registry.list('loader')\n"
        "    assert await registry.create('loader', 'before') == {}\n"
        "    assert registry.has('adapter', 'folder') and registry.get('loader', 'mine') is list\n"
    )
    await public.load_plugins([plugin(source)])


async def test_a_plugin_may_replace_what_is_registered(public: Any, plugin: Any) -> None:
    public.register("loader", "from_plugin", dict)
    await public.load_plugins([plugin(WORKS.replace("make)", "make, replace=True)"))])
    assert public.get("loader", "from_plugin") is not dict


WAITS = (
    WORKS
    + """
    return wait()

import asyncio
reached, go = asyncio.Event(), asyncio.Event()

async def wait():
    reached.set()
    await go.wait()
"""
)


@pytest.fixture
async def waiting(public: Any, plugin: Any) -> Any:
    """A plugin that has registered something and has not loaded yet: the load, and the module."""
    before = set(sys.modules)
    loading = asyncio.create_task(public.load_plugins([plugin(WAITS)]))
    while not (added := [name for name in sys.modules.keys() - before if name.startswith("sequential_plugin_")]):
        await asyncio.sleep(0)
    module: Any = sys.modules[added[0]]
    await module.reached.wait()
    return loading, module


async def test_until_a_plugin_has_loaded_nobody_else_sees_what_it_registers(public: Any, waiting: Any) -> None:
    loading, module = waiting
    public.register("loader", "meanwhile", dict)
    assert public.list("loader") == ["meanwhile"]
    module.go.set()
    await loading
    assert public.list("loader") == ["from_plugin", "meanwhile"]


async def test_a_plugin_whose_name_is_taken_while_it_loads_fails(public: Any, waiting: Any) -> None:
    loading, module = waiting
    public.register("loader", "from_plugin", dict)
    module.go.set()
    with pytest.raises(PluginError, match="is registered already"):
        await loading
    assert public.get("loader", "from_plugin") is dict


async def test_a_plugin_that_is_cancelled_leaves_nothing_behind(public: Any, plugin: Any) -> None:
    path = plugin(WORKS_ASYNC + "    await asyncio.sleep(60)\n")
    before = before_and_after(public)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await public.load_plugins([path])
    assert before_and_after(public) == before


async def test_what_a_loaded_plugin_registers_later_counts(public: Any, plugin: Any) -> None:
    await public.load_plugins(
        [plugin(WORKS.replace('registry.register("', 'global r\n    r = registry\n    r.register("'))]
    )
    module = sys.modules[await public.create("loader", "from_plugin")]
    module.r.register("loader", "later", dict)
    assert public.list("loader") == ["from_plugin", "later"]


@pytest.mark.parametrize("plugins", ["plugin.py", Path("plugin.py")])
async def test_a_single_name_in_place_of_a_list_is_refused(public: Any, plugins: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"load_plugins takes a list"):
        await public.load_plugins(plugins)


@pytest.mark.parametrize("missing", ["./no/such/file.py", "no_such_module_at_all", Path("nothing"), ""])
async def test_a_plugin_that_is_not_there_is_named(public: Any, missing: Any) -> None:
    with pytest.raises(PluginError, match="did not load"):
        await public.load_plugins([missing])
