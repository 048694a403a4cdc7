"""Storage URLs, and the order in which storage is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.storage.locations import Location, find_storage, parse_storage, redacted

URLS: dict[str, tuple[str, dict[str, Any]]] = {
    "folder:./tasks": ("folder", {"base_path": "./tasks"}),
    "folder:tasks": ("folder", {"base_path": "tasks"}),
    "folder:/srv/tasks": ("folder", {"base_path": "/srv/tasks"}),
    "folder:///srv/tasks": ("folder", {"base_path": "/srv/tasks"}),
    "folder:": ("folder", {"base_path": "./tasks"}),
    "folder:my%20tasks?durability=process": ("folder", {"base_path": "my tasks", "durability": "process"}),
    "folder:./ünï?a=1&b=0.5&c=true&d=false&e=null&f=&g=01x": (
        "folder",
        {"base_path": "./ünï", "a": 1, "b": 0.5, "c": True, "d": False, "e": None, "f": "", "g": "01x"},
    ),
    "sqlite:///tasks.db": ("sqlite", {"db_path": "tasks.db"}),
    "sqlite:///./data/tasks.db": ("sqlite", {"db_path": "./data/tasks.db"}),
    "sqlite:////srv/tasks.db?durability=process": ("sqlite", {"db_path": "/srv/tasks.db", "durability": "process"}),
    "sqlite:tasks.db": ("sqlite", {"db_path": "tasks.db"}),
    "sqlite::memory:": ("sqlite", {"db_path": ":memory:"}),
    "sqlite:///:memory:": ("sqlite", {"db_path": ":memory:"}),
    "sqlite://": ("sqlite", {"db_path": ":memory:"}),
    "SQLite+aiosqlite:///tasks.db": ("sqlite", {"db_path": "tasks.db"}),
    "sqlite:///C:/tasks.db": ("sqlite", {"db_path": "C:/tasks.db"}),
    "postgresql://me:pw@host:5432/name?sslmode=require": (
        "supabase",
        {"dsn": "postgresql://me:pw@host:5432/name?sslmode=require"},
    ),
    "postgres://host/name": ("supabase", {"dsn": "postgresql://host/name"}),
    "postgresql+asyncpg://host/name": ("supabase", {"dsn": "postgresql://host/name"}),
    "supabase+https://x.example": ("supabase", {"url": "https://x.example"}),
    "supabase+http://localhost:54321?service_key=k": (
        "supabase",
        {"url": "http://localhost:54321", "service_key": "k"},
    ),
    "mongodb://me:pw@host/name?replicaSet=a": ("mongodb", {"url": "mongodb://me:pw@host/name?replicaSet=a"}),
    "mongodb+srv://host": ("mongodb", {"url": "mongodb+srv://host"}),
    "memory:shared": ("memory", {"url": "memory:shared"}),
    "memory:": ("memory", {}),
    "memory": ("memory", {}),
    "sqlite": ("sqlite", {}),
}


@pytest.mark.parametrize("url", URLS)
def test_a_storage_url_is_an_adapter_and_its_options(url: str) -> None:
    found = parse_storage(url, environ={})
    assert (found.backend, found.config) == URLS[url]


def test_the_service_key_may_come_from_the_environment() -> None:
    environ = {"SUPABASE_SERVICE_KEY": "from environment"}
    assert parse_storage("supabase+https://x", environ=environ).config["service_key"] == "from environment"
    assert parse_storage("supabase+https://x?service_key=k", environ=environ).config["service_key"] == "k"
    assert "service_key" not in parse_storage("postgresql://x", environ=environ).config


@pytest.mark.parametrize(
    "text", ["", ".", "./tasks", "/srv/tasks", "C:\\tasks", "a b", "../x", "://x", ":memory:", "\0"]
)
def test_what_is_no_storage_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigurationError, match="folder:./tasks"):
        parse_storage(text)


def test_a_relative_sqlite_path_with_two_slashes_is_refused_with_the_right_spelling() -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///tasks.db"):
        parse_storage("sqlite://tasks.db")


def test_supabase_without_http_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"supabase\+https"):
        parse_storage("supabase://x")


def test_home_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_storage("folder:~/tasks").config == {"base_path": f"{tmp_path}/tasks"}


# ---- secrets


SECRET = st.text(st.characters(blacklist_characters="&#", blacklist_categories=["Cs"]), min_size=1).map(
    lambda text: f"s3cr3t{text}s3cr3t"
)


@given(SECRET, st.sampled_from(["postgresql", "postgres", "mongodb", "supabase+https", "mysql+driver"]))
def test_a_password_never_shows(secret: str, scheme: str) -> None:
    found = parse_storage(f"{scheme}://me:{secret}@host/name", environ={})
    assert "s3cr3t" not in found.display + repr(found) + str(found)
    assert found.display.startswith(f"{scheme}://")


def test_what_is_no_secret_shows() -> None:
    url = "postgresql://me:pw@host:5432/name?sslmode=require&password=pw&connect_timeout=3"
    assert redacted(url) == "postgresql://me:***@host:5432/name?sslmode=require&password=***&connect_timeout=3"
    assert redacted("toy://token@host") == "toy://***@host"
    assert redacted("folder:./a@b?durability=process") == "folder:./a@b?durability=process"


@given(
    SECRET, st.sampled_from(["service_key", "password", "apikey", "token", "sslpassword", "Signature", "client_secret"])
)
def test_a_secret_option_never_shows(secret: str, name: str) -> None:
    found = parse_storage(f"toy://host/name?a=1&{name}={secret}&b=2", environ={})
    assert "s3cr3t" not in found.display + repr(found)
    assert "@" in secret or found.display.endswith(f"?a=1&{name}=***&b=2")


def test_the_service_key_of_the_environment_never_shows() -> None:
    found = find_storage(environ={"SUPABASE_URL": "https://x", "SUPABASE_SERVICE_KEY": "s3cr3t"})
    assert found.config == {"url": "https://x", "service_key": "s3cr3t"}
    assert "s3cr3t" not in repr(found)


def test_an_error_shows_no_secret_either() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_storage("supabase://me:s3cr3t@x?key=s3cr3t")
    assert "s3cr3t" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_location_or_a_configuration_error(text: str) -> None:
    try:
        assert isinstance(parse_storage(text), Location)
    except ConfigurationError:
        assert redacted(text) is not None


# ---- the order

EVERYTHING = {
    "SEQUENTIAL_STORAGE": "folder:first",
    "DATABASE_URL": "postgresql://second",
    "SUPABASE_URL": "https://third",
    "SUPABASE_SERVICE_KEY": "k",
}


def test_the_first_that_says_a_storage_is_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.sequential]\nstorage = "sqlite:////fourth.db"\n')
    environ, found = dict(EVERYTHING), []
    for _ in range(4):
        location = find_storage(environ=environ, folder=tmp_path)
        found.append((location.source, location.display))
        if location.source in environ:
            del environ[location.source]
    assert found == [
        ("SEQUENTIAL_STORAGE", "folder:first"),
        ("DATABASE_URL", "postgresql://second"),
        ("SUPABASE_URL", "supabase+https://third"),
        (str(tmp_path / "pyproject.toml"), "sqlite:////fourth.db"),
    ]
    (tmp_path / "pyproject.toml").unlink()
    last = find_storage(environ=environ, folder=tmp_path)
    assert (last.source, last.backend, last.config) == ("default", "folder", {"base_path": "./tasks"})


def test_an_argument_comes_before_everything() -> None:
    found = find_storage("sqlite::memory:", environ=EVERYTHING)
    assert (found.source, found.backend) == ("argument", "sqlite")


@pytest.mark.parametrize("missing", ["SUPABASE_URL", "SUPABASE_SERVICE_KEY"])
def test_supabase_needs_both_variables_and_empty_ones_say_nothing(tmp_path: Path, missing: str) -> None:
    environ = dict.fromkeys(EVERYTHING, "") | {"SUPABASE_URL": "https://x", "SUPABASE_SERVICE_KEY": "k"}
    assert find_storage(environ={**environ, missing: ""}, folder=tmp_path).source == "default"


def test_an_error_names_the_variable_that_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="^SEQUENTIAL_STORAGE: './tasks' is no storage"):
        find_storage(environ={"SEQUENTIAL_STORAGE": "./tasks"})


@pytest.mark.parametrize(
    ("url", "option", "expected"),
    [
        ("folder:./tasks", "base_path", "{0}/tasks"),
        ("sqlite:///data/tasks.db", "db_path", "{0}/data/tasks.db"),
        ("sqlite:////srv/tasks.db", "db_path", "/srv/tasks.db"),
        ("sqlite::memory:", "db_path", ":memory:"),
    ],
)
def test_a_path_in_pyproject_is_relative_to_its_folder_from_wherever_one_is(
    tmp_path: Path, url: str, option: str, expected: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.sequential]\nstorage = "{url}"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text("[project]\nname = 'says nothing of storage'\n")
    for folder in (tmp_path, below):
        assert find_storage(environ={}, folder=folder).config == {option: expected.format(tmp_path)}


@pytest.mark.parametrize(
    "text",
    ["[tool.sequential", "[tool.sequential]\nstorage = 3\n", "tool = 3\n", "[tool.sequential]\nstorage = './x'\n"],
)
def test_a_pyproject_that_cannot_be_right_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        find_storage(environ={}, folder=tmp_path)
    assert str(path) in str(caught.value)
