"""How hypothesis runs in all tests of this package, and the stores of those that run on every backend.

Hypothesis times nothing, and leaves no examples in the source tree.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

BACKENDS = ("folder", "sqlite", "template", "supabase")
SERVERS = Path(__file__).parents[2] / "sequential-adaptor-supabase" / "tests"

settings.register_profile("sequential", deadline=None, database=None)
settings.load_profile("sequential")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``backend`` runs on each that is installed, of those that ``backends(...)`` names."""
    if "backend" in metafunc.fixturenames:
        named = metafunc.definition.get_closest_marker("backends")
        wanted = BACKENDS if named is None else named.args
        installed = [name for name in wanted if find_spec(f"sequential_adaptor.backends.{name}") is not None]
        metafunc.parametrize("backend", installed)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``meanwhile(store, "commit", act, when)``: somebody acts once, just before a call of which ``when`` holds.

    With ``after=True`` it is just after that call, before its caller hears of it.
    """

    def meanwhile(
        store: object,
        method: str,
        act: Callable[[], Awaitable[Any]],
        when: Callable[..., bool] = lambda *args, **named: True,
        *,
        after: bool = False,
    ) -> None:
        original, acts = getattr(store, method), [act]

        async def disturbed(*args: Any, **named: Any) -> Any:
            now = acts.pop() if acts and when(*args, **named) else None
            if now is not None and not after:
                await now()
            answer = await original(*args, **named)
            if now is not None and after:
                await now()
            return answer

        monkeypatch.setattr(store, method, disturbed)

    return meanwhile


@pytest.fixture(scope="session")
def postgres() -> Iterator[tuple[Any, str]]:
    """A server, and a database on it with our schema and nothing in it."""
    sys.path.insert(0, str(SERVERS))  # `parts` is no installed package
    from parts.postgres import Postgres

    from sequential_adaptor.backends.supabase.migrating import migrations

    with Postgres.running(18) as server:
        name = server.new_database()
        for one in migrations():
            server.sql(f"begin;\n{one.text}\n;commit;", name, user="postgres")
        yield server, name


@pytest.fixture
def new_dsn(postgres: tuple[Any, str]) -> Iterator[Callable[[], str]]:
    """How to connect to a new database with our schema; gone when the test ends."""
    from parts.stores import Stores

    with Stores(*postgres) as stores:
        yield stores.dsn


@pytest.fixture
def options_of(request: pytest.FixtureRequest) -> Callable[[str, Path], dict[str, Any]]:
    """``options_of(backend, path)``: what opens a store of that kind, at that path if it has one; empty at first."""
    needs_server = "supabase" in str(getattr(request.node, "callspec", ""))
    new_dsn = request.getfixturevalue("new_dsn") if needs_server else None

    def options_of(backend: str, path: Path) -> dict[str, Any]:
        if backend == "folder":
            return {"base_path": str(path), "durability": "process"}
        if backend == "sqlite":
            path.parent.mkdir(parents=True, exist_ok=True)
            return {"db_path": f"{path}.db"}
        if backend == "template":
            return {"name": str(path)}
        assert new_dsn is not None
        return {"dsn": new_dsn()}

    return options_of


@pytest.fixture
def url_of(options_of: Callable[[str, Path], dict[str, Any]]) -> Callable[[str, Path], str]:
    """The same as a storage URL, for commands and for processes beside this one."""

    def url_of(backend: str, path: Path) -> str:
        options = options_of(backend, path)
        return {
            "folder": lambda: f"folder:{options['base_path']}?durability=process",
            "sqlite": lambda: f"sqlite:///{options['db_path']}",
            "supabase": lambda: str(options["dsn"]),
        }[backend]()

    return url_of
