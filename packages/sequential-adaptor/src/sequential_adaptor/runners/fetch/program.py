"""One version of task code, compiled once for all the sessions that run it."""

from __future__ import annotations

import ast
import hashlib
import linecache
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import CO_COROUTINE
from types import CodeType

from sequential_adaptor.records import TaskFunction
from sequential_adaptor.runners.fetch.shared_module import SharedModule

RESULT = "__sequential_result__"
"""The name under which a script leaves the value of its last expression."""

_MOST_UNUSED = 256


@dataclass(frozen=True, slots=True)
class Source:
    """One compiled module: ``name`` is what task code imports it by, ``None`` for the task's own."""

    name: str | None
    module_name: str
    filename: str
    code: CodeType
    is_package: bool = False


@dataclass(eq=False)
class Program:
    """``main`` is the task's module, ``modules`` the ones that are stored with it.

    ``async_functions`` holds the names of the public ones that the code defines, ``files`` the file names that
    tracebacks show, ``shared`` what ``sys.modules`` has for each module.
    """

    module_name: str
    main: Source
    modules: Mapping[str, Source]
    async_functions: tuple[str, ...]
    files: frozenset[str]
    users: int = 0
    shared: dict[str, SharedModule] = field(default_factory=dict)

    @property
    def awaits_at_top_level(self) -> bool:
        """Whether the module's own body awaits, so that it is a script."""
        return bool(self.main.code.co_flags & CO_COROUTINE)

    def sources(self) -> Iterator[Source]:
        """The task's module, and those stored with it."""
        yield self.main
        yield from self.modules.values()


_lock = threading.Lock()
_programs: OrderedDict[tuple[str, str], Program] = OrderedDict()


@contextmanager
def in_use(function: TaskFunction) -> Iterator[Program]:
    """The compiled function, kept for as long as it is in use; ``SyntaxError`` for what is no Python."""
    program = acquire(function)
    try:
        yield program
    finally:
        release(program)


def acquire(function: TaskFunction) -> Program:
    """The compiled function; to be given back by :func:`release`."""
    version = function.version or version_of(function)
    key = (function.identifier, version)
    with _lock:
        program = _programs.get(key)
        if program is None:
            program = _compile(function, version)
            _programs[key] = program
            _publish(program, function)
        _programs.move_to_end(key)
        program.users += 1
    return program


def release(program: Program) -> None:
    """One user less. When there are too many programs, those that nobody uses are forgotten, the oldest first."""
    with _lock:
        program.users -= 1
        if len(_programs) > _MOST_UNUSED:
            unused = [key for key, found in _programs.items() if found.users == 0]
            for key in unused[: len(_programs) - _MOST_UNUSED]:
                _forget(_programs.pop(key))


def version_of(function: TaskFunction) -> str:
    """A name for code that was never stored."""
    digest = hashlib.sha256(function.code.encode("utf-8", "surrogatepass"))
    for name, text in sorted((function.modules or {}).items()):
        digest.update(f"\0{name}\0{text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _compile(function: TaskFunction, version: str) -> Program:
    root = f"sequential_task_{version}"
    stem = f"{function.identifier or 'task'}@{version[:12]}"
    tree = ast.parse(function.code, f"{stem}.py")
    names = tuple(
        node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_")
    )
    main = Source(None, root, f"{stem}.py", _code(_with_result(tree), f"{stem}.py", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
    modules = {
        name: _module(name, text, root, stem, function.modules) for name, text in (function.modules or {}).items()
    }
    files = frozenset({main.filename, *(source.filename for source in modules.values())})
    return Program(root, main, modules, names, files)


def _module(name: str, text: str, root: str, stem: str, names: Mapping[str, str]) -> Source:
    filename = f"{stem}/{name.replace('.', '/')}.py"
    is_package = any(other.startswith(f"{name}.") for other in names)
    return Source(name, f"{root}.{name}", filename, _code(ast.parse(text, filename), filename, 0), is_package)


def _code(tree: ast.Module, filename: str, flags: int) -> CodeType:
    code = compile(tree, filename, "exec", flags=flags, dont_inherit=True)
    assert isinstance(code, CodeType)  # no flag asks for a tree
    return code


def _with_result(tree: ast.Module) -> ast.Module:
    """The module with its last expression, if it ends with one, assigned to ``RESULT``."""
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        target = ast.copy_location(ast.Name(RESULT, ast.Store()), last)
        tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    return tree


def _publish(program: Program, function: TaskFunction) -> None:
    """Let tracebacks find the lines, and libraries the namespaces."""
    texts = {None: function.code, **(function.modules or {})}
    for source in program.sources():
        text = texts[source.name]
        # An entry without a modification time is never checked against the disk.
        linecache.cache[source.filename] = (len(text), None, text.splitlines(keepends=True), source.filename)
        program.shared[source.module_name] = SharedModule.published(source.module_name)


def _forget(program: Program) -> None:
    for source in program.sources():
        linecache.cache.pop(source.filename, None)
    for shared in program.shared.values():
        shared.withdraw()
