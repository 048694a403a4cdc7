"""Where storage is: storage URLs, and the order in which one is found.

| URL | adapter | options |
| --- | --- | --- |
| ``folder:./tasks``, ``folder:/srv/tasks?durability=process`` | folder | ``base_path``, the query's |
| ``sqlite:///tasks.db``, ``sqlite:////srv/tasks.db``, ``sqlite::memory:`` | sqlite | ``db_path``, the query's |
| ``postgresql://user:password@host/name?sslmode=require`` | supabase | ``dsn``, the URL whole |
| ``supabase+https://project.example`` | supabase | ``url``, the query's, ``SUPABASE_SERVICE_KEY`` |
| ``name``, ``name:rest`` or ``name://rest`` | the adapter ``name`` | none, or ``url``, the URL whole |

A relative path is relative to the current directory, and one in pyproject.toml to the folder of that file. A path after
three slashes is relative in an ``sqlite`` URL, as it is in SQLAlchemy, and after four it is absolute.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from sequential_adaptor.errors import ConfigurationError

DEFAULT = "folder:./tasks"

_SCHEME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{1,63})(\+[A-Za-z0-9]+)?:(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CREDENTIALS = re.compile(r"//(?:([^:@/?]*):)?(.*)@(.*)", re.DOTALL)
_SECRET_FIELD = re.compile(r"([?&][^=&]*(?:key|pass|pwd|secret|token|sig|auth)[^=&]*=)[^&]*", re.IGNORECASE)
_SCALARS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Location:
    """A storage: the adapter's name and its options.

    - ``source``: who says so: ``argument``, ``SEQUENTIAL_STORAGE``, the path of a pyproject.toml, ..., ``default``.
    - ``display``: the URL without its secrets, fit to be shown.
    """

    backend: str
    config: Mapping[str, Any] = field(repr=False)
    display: str
    source: str = "argument"

    def remedy(self, known: str | None) -> str | None:
        """What to do where there is no such adapter: what is known to help, and who asked for it."""
        if self.source == "argument":
            return known
        return f"{known or 'name another storage in SEQUENTIAL_STORAGE'} ({self.source} says {self.display})"


def is_storage_url(text: str) -> bool:
    """Whether this is a storage URL rather than an adapter's name."""
    return ":" in text


def find_storage(
    argument: str | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Location:
    """The storage to use, by the first that says one:

    the argument; ``SEQUENTIAL_STORAGE``; ``DATABASE_URL``; ``SUPABASE_URL`` with ``SUPABASE_SERVICE_KEY``;
    ``[tool.sequential] storage`` in the nearest pyproject.toml upward that has that table; else ``folder:./tasks``.
    """
    environ = os.environ if environ is None else environ
    if argument is not None:
        return parse_storage(argument, environ=environ)
    for name in ("SEQUENTIAL_STORAGE", "DATABASE_URL"):
        if environ.get(name):
            return _said(name, environ[name], environ)
    if environ.get("SUPABASE_URL") and environ.get("SUPABASE_SERVICE_KEY"):
        return _said("SUPABASE_URL", f"supabase+{environ['SUPABASE_URL']}", environ)
    return _of_project(folder or Path.cwd(), environ) or replace(parse_storage(DEFAULT), source="default")


def parse_storage(text: str, *, environ: Mapping[str, str] | None = None) -> Location:
    """A storage URL or an adapter's name taken apart, or :class:`ConfigurationError` that says how one is written."""
    match = _SCHEME.fullmatch(text)
    if match is None:
        if _NAME.fullmatch(text):
            return Location(text, {}, text)
        raise ConfigurationError(
            f"{redacted(text)!r} is no storage: write an adapter's name, or a URL such as folder:./tasks,"
            " sqlite:///tasks.db, postgresql://user@host/name"
        )
    scheme, variant, rest = match.groups()
    parse = _KNOWN.get(scheme.lower(), _other)
    backend, config = parse(text, variant or "", rest)
    service_key = (os.environ if environ is None else environ).get("SUPABASE_SERVICE_KEY")
    if backend == "supabase" and "url" in config and service_key:
        config.setdefault("service_key", service_key)
    return Location(backend, config, redacted(text))


def redacted(text: str) -> str:
    """A URL without passwords, keys and tokens. Rather too much is hidden than too little."""
    return _SECRET_FIELD.sub(r"\1***", _CREDENTIALS.sub(_hidden, text))


def _hidden(match: re.Match[str]) -> str:
    user, password, rest = match.groups()
    if "?" in password:  # a password with a question mark, or a query with an @: nobody can tell which
        return "//***"
    return f"//{user}:***@{rest}" if user else f"//***@{rest}"


def _said(source: str, text: str, environ: Mapping[str, str]) -> Location:
    try:
        return replace(parse_storage(text, environ=environ), source=source)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from None


# ---- what each scheme means

Parsed = tuple[str, dict[str, Any]]


def _folder(text: str, variant: str, rest: str) -> Parsed:
    path, options = _split(rest)
    return "folder", {"base_path": path.removeprefix("//") or "./tasks", **options}


def _sqlite(text: str, variant: str, rest: str) -> Parsed:
    path, options = _split(rest)
    if path.startswith("//"):
        if path[2:3] not in ("", "/"):
            raise ConfigurationError(f"{redacted(text)!r}: a relative path takes three slashes, sqlite:///{path[2:]}")
        path = path[3:] or ":memory:"
    return "sqlite", {"db_path": path, **options}


def _postgres(text: str, variant: str, rest: str) -> Parsed:
    """``postgresql+driver://`` as SQLAlchemy writes it is understood; the driver is ours."""
    return "supabase", {"dsn": f"postgresql:{rest}"}


def _supabase(text: str, variant: str, rest: str) -> Parsed:
    if variant not in ("+http", "+https"):
        raise ConfigurationError(f"{redacted(text)!r}: write supabase+https://... or postgresql://...")
    url, _, query = rest.partition("?")
    return "supabase", {"url": f"{variant[1:]}:{url}", **_options(query)}


def _other(text: str, variant: str, rest: str) -> Parsed:
    name = text.partition(":")[0]
    return name.partition("+")[0], {"url": text} if rest else {}


_KNOWN: Mapping[str, Callable[[str, str, str], Parsed]] = {
    "folder": _folder,
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    "supabase": _supabase,
}


def _split(rest: str) -> tuple[str, dict[str, Any]]:
    path, _, query = rest.partition("?")
    return os.path.expanduser(unquote(path)), _options(query)


def _options(query: str) -> dict[str, Any]:
    return {name: _scalar(value) for name, value in parse_qsl(query, keep_blank_values=True)}


def _scalar(text: str) -> Any:
    """Numbers, ``true``, ``false`` and ``null`` are what they look like; everything else is text."""
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return _SCALARS.get(text, text)


# ---- pyproject.toml


def _of_project(folder: Path, environ: Mapping[str, str]) -> Location | None:
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        storage = _storage_of(path)
        if storage is not None:
            found = _said(str(path), storage, environ)
            return replace(found, config=_anchored(found.config, parent))
    return None


def _storage_of(path: Path) -> str | None:
    import tomllib

    if not path.is_file():
        return None
    try:
        storage = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("sequential", {}).get("storage")
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if storage is not None and not isinstance(storage, str):
        raise ConfigurationError(f"{path}: [tool.sequential] storage is a storage URL as text, not {storage!r}")
    return storage


def _anchored(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The options with relative paths made relative to ``folder``."""
    paths = {name: config[name] for name in ("base_path", "db_path") if config.get(name, ":memory:") != ":memory:"}
    return {**config, **{name: str(folder / path) for name, path in paths.items()}}
