"""``create_adapter``, ``with_adapter``, ``create_runner``: awaited, or entered and closed whatever happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sequential_adaptor.errors import ConfigurationError, SequentialError, UnknownName

VARIABLES = ("SEQUENTIAL_STORAGE", "DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_KEY")


class Store:
    """An adapter as far as opening and closing go."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.events: list[str] = []

    async def init(self) -> None:
        self.events.append("init")

    async def close(self) -> None:
        self.events.append("close")
        if "on_close" in self.options:
            raise self.options["on_close"]


@pytest.fixture
def stores(public: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The public functions, with adapters that keep nothing, in an empty folder and a silent environment."""
    for name in ("folder", "sqlite", "supabase", "toy"):
        public.register_adapter(name, Store, replace=True)
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return public


async def test_awaited_it_is_open_and_stays_so(stores: Any) -> None:
    adapter = await stores.create_adapter("toy", {"a": 0}, b=None)
    assert (adapter.options, adapter.events) == ({"a": 0, "b": None}, ["init"])


async def test_entered_it_is_closed_on_leaving(stores: Any) -> None:
    async with stores.create_adapter("toy") as adapter:
        assert adapter.events == ["init"]
    assert adapter.events == ["init", "close"]


async def test_nothing_happens_before_it_is_awaited(stores: Any) -> None:
    stores.register_adapter("never", lambda: pytest.fail("made"))
    stores.create_adapter("never")
    stores.create_adapter("no such adapter at all")


async def test_each_await_opens_one_more(stores: Any) -> None:
    opening = stores.create_adapter("toy")
    assert await opening is not await opening


async def test_the_same_opening_is_not_entered_twice_at_once(stores: Any) -> None:
    opening = stores.create_adapter("toy")
    async with opening as first:
        with pytest.raises(SequentialError, match="entered twice"):
            await opening.__aenter__()
    async with opening as second:
        assert second is not first


async def test_an_error_on_closing_goes_up_and_never_hides_an_error_of_the_body(stores: Any) -> None:
    with pytest.raises(OSError, match="closing"):
        async with stores.create_adapter("toy", on_close=OSError("closing")):
            pass
    with pytest.raises(ValueError, match="body") as caught:
        async with stores.create_adapter("toy", on_close=OSError("closing")):
            raise ValueError("body")
    assert "OSError('closing')" in "".join(caught.value.__notes__)


async def test_with_adapter_gives_the_functions_value_and_closes_whatever_happens(stores: Any) -> None:
    seen = []

    async def work(adapter: Store) -> int:
        seen.append(adapter)
        return adapter.options["n"]

    async def fail(adapter: Store) -> None:
        seen.append(adapter)
        raise ValueError("in the middle")

    assert await stores.with_adapter("toy", {"n": 0}, work) == 0
    with pytest.raises(ValueError, match="in the middle"):
        await stores.with_adapter("toy:here", None, fail)
    assert [adapter.events for adapter in seen] == [["init", "close"]] * 2
    assert seen[1].options == {"url": "toy:here"}


async def test_a_storage_url_works_wherever_a_backend_is_named(stores: Any) -> None:
    url, options = "sqlite:///x.db?durability=process", {"db_path": "x.db", "durability": "process"}
    assert (await stores.create_adapter(url)).options == options
    assert (await stores.create("adapter", url)).options == options
    assert await stores.with_adapter(url, None, _options) == options


async def _options(adapter: Store) -> dict[str, Any]:
    return adapter.options


async def test_options_win_over_those_of_the_url(stores: Any) -> None:
    url = "folder:./a?durability=process&x=1"
    for create in (stores.create_adapter, lambda *args, **kwargs: stores.create("adapter", *args, **kwargs)):
        adapter = await create(url, {"durability": "power", "x": 2}, x=3)
        assert adapter.options == {"base_path": "./a", "durability": "power", "x": 3}


async def test_alone_it_is_the_folder_adapter_at_tasks(stores: Any) -> None:
    assert (await stores.create_adapter()).options == {"base_path": "./tasks"}


async def test_alone_it_is_what_the_environment_says(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQUENTIAL_STORAGE", "sqlite:////srv/tasks.db")
    assert (await stores.create_adapter()).options == {"db_path": "/srv/tasks.db"}


async def test_an_adapter_that_the_environment_names_and_nobody_has_says_who_asked_for_it(
    stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://me:hunter2@localhost/mine")
    with pytest.raises(UnknownName) as caught:
        await stores.create_adapter()
    message = str(caught.value)
    assert "SEQUENTIAL_STORAGE (DATABASE_URL says mysql://me:***@localhost/mine)" in message
    assert "hunter2" not in message


async def test_a_config_that_is_no_mapping_is_refused(stores: Any) -> None:
    with pytest.raises(ConfigurationError):
        await stores.create_adapter("toy", "x=1")


async def test_a_runner_is_made_and_disposed_of_in_the_same_way(public: Any) -> None:
    class Runner:
        def __init__(self, state_dir: str) -> None:
            self.events = [state_dir]

        async def init(self) -> None:
            self.events.append("init")

        async def dispose(self) -> None:
            self.events.append("dispose")

    public.register_runner("toy", Runner)
    assert (await public.create_runner("toy", state_dir=".x")).events == [".x", "init"]
    async with public.create_runner("toy", {"state_dir": ""}) as runner:
        pass
    assert runner.events == ["", "init", "dispose"]
    with pytest.raises(UnknownName, match="no runner 'toi'"):
        await public.create_runner("toi")
