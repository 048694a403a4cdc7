"""A command with all that was asked for it, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from sequential_adaptor import values
from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container import keys
from sequential_adaptor.runners.container.environment import Environment
from sequential_adaptor.runners.container.settings import Settings, check_seconds
from sequential_adaptor.values import JSON


@dataclass(frozen=True, slots=True)
class Job:
    """A command with all that was asked for it."""

    command: str
    shell: tuple[str, ...]
    environment: Environment
    input: JSON = None
    stdin: bytes | None = None
    timeout: float | None = None
    cache: bool = True
    salt: str = ""
    ignore: tuple[str, ...] = field(default=())

    def key(self, settings: Settings, parent: str | None) -> str:
        """The key of its layer on a parent."""
        return keys.command_key(
            self.command,
            parent=parent,
            shell=self.shell,
            isolation=settings.isolation.key,
            input=self.input,
            stdin=self.stdin,
            environment=self.environment.declared,
            salt=self.salt,
            ignore=self.ignore,
        )

    @property
    def reads(self) -> bytes | None:
        """What the command finds on its standard input: ``stdin``, else ``input`` as a line of JSON."""
        if self.stdin is not None or self.input is None:
            return self.stdin
        return values.encode(self.input).encode("utf-8") + b"\n"


class Options(TypedDict, total=False):
    """What may be said of a command beside its text and input; see :meth:`ContainerRunner.run`."""

    env: Mapping[str, str] | None
    secrets: Mapping[str, str] | None
    timeout: float | None
    stdin: bytes | str | None
    cache: bool
    salt: str
    ignore: Iterable[str]


def make_job(
    settings: Settings, command: str, input: JSON = None, *, strict: bool = False, **options: Unpack[Options]
) -> Job:
    """A checked job, or an error that says which part of it cannot be."""
    unknown = sorted(options.keys() - Options.__annotations__)
    if unknown:
        raise ConfigurationError(
            f"a command has no option {unknown[0]!r} (it has: {', '.join(Options.__annotations__)})"
        )
    if not isinstance(command, str) or not command.strip() or "\0" in command:
        raise ConfigurationError(f"the command is {command!r}; it is text for the shell")
    values.check(command, "$.command")
    values.check(input, "$.input")
    job = Job(
        command,
        settings.shell_for(strict=strict),
        Environment.of({**settings.declared, **(options.get("env") or {})}, options.get("secrets") or {}),
        input,
        _stdin(options.get("stdin"), input),
        check_seconds(options.get("timeout")),
        options.get("cache", True),
        _salt(options.get("salt", "")),
        _patterns(options.get("ignore", ())),
    )
    job.environment.refuse_in("the command", command)
    job.environment.refuse_in("salt", job.salt)
    job.environment.refuse_in("input", values.encode(input))
    for name, value in job.environment.declared.items():
        job.environment.refuse_in(f"variable {name}", value)
    return job


def _stdin(stdin: bytes | str | None, input: JSON) -> bytes | None:
    if stdin is not None and input is not None:
        raise ConfigurationError("both input and stdin are read from standard input; give one of them")
    if stdin is not None and not isinstance(stdin, (bytes, str)):
        raise ConfigurationError(f"stdin is {type(stdin).__name__}; it is text or bytes")
    return stdin.encode("utf-8") if isinstance(stdin, str) else stdin


def _salt(salt: str) -> str:
    if not isinstance(salt, str):
        raise ConfigurationError(f"salt is {salt!r}; it is text")
    values.check(salt, "$.salt")
    return salt


def _patterns(ignore: Iterable[str]) -> tuple[str, ...]:
    found = () if isinstance(ignore, str) else tuple(ignore)
    if isinstance(ignore, str) or not all(isinstance(each, str) for each in found):
        raise ConfigurationError(f"ignore is {ignore!r}; it is a list of patterns as in .gitignore")
    return found
